declare <2 x double> @llvm.masked.load.v2f64.p0(ptr, i32, <2 x i1>, <2 x double>)
declare i32 @omp_get_thread_num()
declare i32 @omp_get_num_threads()
declare void @GOMP_parallel(ptr, ptr, i32, i32)
declare <2 x double> @llvm.fmuladd.v2f64(<2 x double>, <2 x double>, <2 x double>)
declare <2 x double> @llvm.rint.v2f64(<2 x double>)
declare <2 x double> @llvm.floor.v2f64(<2 x double>)
declare i32 @sched_yield()
declare void @llvm.masked.store.v2f64.p0(<2 x double>, ptr, i32, <2 x i1>)

define internal void @xf0_2_1_1(ptr %a0, i64 %a1, i64 %a2, i64 %a3, i64 %a4, i64 %a5, i64 %a6) nounwind {
entry:
  %v1 = mul i64 %a1, 2
  %v2 = getelementptr i64, ptr %a0, i64 19
  %v3 = load ptr, ptr %v2
  %v4 = getelementptr double, ptr %v3, i64 %v1
  %v5 = load <2 x double>, ptr %v4, align 8
  %v6 = getelementptr double, ptr %v3, i64 2
  %v7 = getelementptr double, ptr %v6, i64 %v1
  %v8 = load <2 x double>, ptr %v7, align 8
  %v9 = getelementptr i64, ptr %a0, i64 18
  %v10 = load ptr, ptr %v9
  %v11 = mul i64 %a1, 8
  %v12 = getelementptr double, ptr %v10, i64 %v11
  %v13 = getelementptr i64, ptr %a0, i64 20
  %v14 = load i64, ptr %v13
  %v15 = mul i64 %a3, %v14
  %v16 = getelementptr i64, ptr %a0, i64 21
  %v17 = load ptr, ptr %v16
  %v18 = getelementptr double, ptr %v17, i64 %v15
  br label %head19
head19:
  %v22 = phi i64 [0, %entry], [%v37, %body20]
  %v23 = phi <2 x double> [%v5, %entry], [%v35, %body20]
  %v24 = phi <2 x double> [%v8, %entry], [%v36, %body20]
  %v25 = icmp slt i64 %v22, 2
  br i1 %v25, label %body20, label %end21
body20:
  %v26 = mul i64 %v22, 4
  %v27 = getelementptr double, ptr %v12, i64 %v26
  %v28 = load <2 x double>, ptr %v27, align 8
  %v29 = getelementptr double, ptr %v27, i64 2
  %v30 = load <2 x double>, ptr %v29, align 8
  %v31 = getelementptr double, ptr %v18, i64 %v22
  %v32 = load double, ptr %v31, align 8
  %v33 = insertelement <2 x double> poison, double %v32, i32 0
  %v34 = shufflevector <2 x double> %v33, <2 x double> poison, <2 x i32> zeroinitializer
  %v35 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v34, <2 x double> %v28, <2 x double> %v23)
  %v36 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v34, <2 x double> %v30, <2 x double> %v24)
  %v37 = add i64 %v22, 1
  br label %head19
end21:
  %v38 = getelementptr i64, ptr %a0, i64 4
  %v39 = load i64, ptr %v38
  %v40 = mul i64 %a1, %v39
  %v41 = add i64 %v40, %a3
  %v42 = getelementptr i64, ptr %a0, i64 22
  %v43 = load ptr, ptr %v42
  %v44 = mul i64 %v41, 4
  %v45 = getelementptr double, ptr %v43, i64 %v44
  store <2 x double> %v23, ptr %v45, align 8
  %v46 = getelementptr double, ptr %v45, i64 2
  store <2 x double> %v24, ptr %v46, align 8
  ret void
}
define internal void @f0_2_1_1(ptr %a0, i64 %a1, i64 %a2, i64 %a3, i64 %a4, i64 %a5, i64 %a6) nounwind {
entry:
  %v1 = mul i64 %a1, 2
  %v2 = getelementptr i64, ptr %a0, i64 4
  %v3 = load i64, ptr %v2
  %v4 = mul i64 %a1, %v3
  %v5 = add i64 %v4, %a3
  %v6 = getelementptr i64, ptr %a0, i64 22
  %v7 = load ptr, ptr %v6
  %v8 = mul i64 %v5, 4
  %v9 = getelementptr double, ptr %v7, i64 %v8
  %v10 = load <2 x double>, ptr %v9, align 8
  %v11 = getelementptr double, ptr %v9, i64 2
  %v12 = load <2 x double>, ptr %v11, align 8
  %v13 = fcmp ogt <2 x double> %v10, splat (double 0x4086280000000000)
  %v14 = select <2 x i1> %v13, <2 x double> splat (double 0x4086280000000000), <2 x double> %v10
  %v15 = fcmp olt <2 x double> %v14, splat (double 0xC087500000000000)
  %v16 = select <2 x i1> %v15, <2 x double> splat (double 0xC087500000000000), <2 x double> %v14
  %v17 = fmul <2 x double> %v16, splat (double 0x3FF71547652B82FE)
  %v18 = call <2 x double> @llvm.rint.v2f64(<2 x double> %v17)
  %v19 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v18, <2 x double> splat (double 0xBFE62E4000000000), <2 x double> %v16)
  %v20 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v18, <2 x double> splat (double 0xBEB7F7D1CF79ABCA), <2 x double> %v19)
  %v21 = fmul <2 x double> %v18, splat (double 0x3FE0000000000000)
  %v22 = call <2 x double> @llvm.floor.v2f64(<2 x double> %v21)
  %v23 = fptosi <2 x double> %v22 to <2 x i64>
  %v24 = add <2 x i64> %v23, splat (i64 1023)
  %v25 = shl <2 x i64> %v24, splat (i64 52)
  %v26 = bitcast <2 x i64> %v25 to <2 x double>
  %v27 = fmul <2 x double> splat (double 0x3FF0000000000000), %v26
  %v28 = fsub <2 x double> %v18, %v22
  %v29 = fptosi <2 x double> %v28 to <2 x i64>
  %v30 = add <2 x i64> %v29, splat (i64 1023)
  %v31 = shl <2 x i64> %v30, splat (i64 52)
  %v32 = bitcast <2 x i64> %v31 to <2 x double>
  %v33 = fmul <2 x double> %v27, %v32
  %v34 = fneg <2 x double> %v20
  %v35 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> splat (double 0x3DA93974A8C07C9D), <2 x double> %v20, <2 x double> splat (double 0xBDE6124613A86D09))
  %v36 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v35, <2 x double> %v20, <2 x double> splat (double 0x3E21EED8EFF8D898))
  %v37 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v36, <2 x double> %v20, <2 x double> splat (double 0xBE5AE64567F544E4))
  %v38 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v37, <2 x double> %v20, <2 x double> splat (double 0x3E927E4FB7789F5C))
  %v39 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v38, <2 x double> %v20, <2 x double> splat (double 0xBEC71DE3A556C734))
  %v40 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v39, <2 x double> %v20, <2 x double> splat (double 0x3EFA01A01A01A01A))
  %v41 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v40, <2 x double> %v20, <2 x double> splat (double 0xBF2A01A01A01A01A))
  %v42 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v41, <2 x double> %v20, <2 x double> splat (double 0x3F56C16C16C16C17))
  %v43 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v42, <2 x double> %v20, <2 x double> splat (double 0xBF81111111111111))
  %v44 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v43, <2 x double> %v20, <2 x double> splat (double 0x3FA5555555555555))
  %v45 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v44, <2 x double> %v20, <2 x double> splat (double 0xBFC5555555555555))
  %v46 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v45, <2 x double> %v20, <2 x double> splat (double 0x3FE0000000000000))
  %v47 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v46, <2 x double> %v34, <2 x double> splat (double 0x3FF0000000000000))
  %v48 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v47, <2 x double> %v34, <2 x double> %v33)
  %v49 = fadd <2 x double> %v48, splat (double 0x3FF0000000000000)
  %v50 = fdiv <2 x double> %v33, %v49
  %v51 = fsub contract <2 x double> splat (double 0x3FF0000000000000), %v50
  %v52 = mul i64 %a4, 2
  %v53 = add i64 %v52, %v1
  %v54 = getelementptr i64, ptr %a0, i64 23
  %v55 = load ptr, ptr %v54
  %v56 = getelementptr double, ptr %v55, i64 %v53
  %v57 = load <2 x double>, ptr %v56, align 8
  %v58 = fmul contract <2 x double> %v51, %v57
  %v59 = fmul contract <2 x double> %v50, %v12
  %v60 = fadd contract <2 x double> %v58, %v59
  %v61 = mul i64 %a3, 2
  %v62 = add i64 %v61, %v1
  %v63 = getelementptr i64, ptr %a0, i64 24
  %v64 = load ptr, ptr %v63
  %v65 = getelementptr double, ptr %v64, i64 %v62
  store <2 x double> %v60, ptr %v65, align 8
  store <2 x double> %v50, ptr %v9, align 8
  ret void
}
define void @forward(ptr %a0, i64 %a1) nounwind {
entry:
  %v1 = icmp sle i64 %a1, 1
  br i1 %v1, label %then2, label %after3
then2:
  call void @all_xf0_2(ptr %a0, i64 0, i64 1)
  call void @walk(ptr %a0, i64 0, i64 1)
  br label %after3
after3:
  %v4 = icmp sgt i64 %a1, 1
  br i1 %v4, label %then5, label %after6
then5:
  %v7 = trunc i64 %a1 to i32
  call void @GOMP_parallel(ptr @all_xf0_2_team, ptr %a0, i32 %v7, i32 0)
  call void @GOMP_parallel(ptr @walk_team, ptr %a0, i32 %v7, i32 0)
  br label %after6
after6:
  ret void
}
define internal void @b0_2_1_1(ptr %a0, i64 %a1, i64 %a2, i64 %a3, i64 %a4, i64 %a5, i64 %a6) nounwind {
entry:
  %v1 = mul i64 %a1, 2
  %v2 = getelementptr i64, ptr %a0, i64 25
  %v3 = load i64, ptr %v2
  %v4 = mul i64 %a3, %v3
  %v5 = add i64 %v4, %v1
  %v6 = getelementptr i64, ptr %a0, i64 26
  %v7 = load ptr, ptr %v6
  %v8 = getelementptr double, ptr %v7, i64 %v5
  %v9 = load <2 x double>, ptr %v8, align 8
  %v10 = mul i64 %a2, 2
  %v11 = add i64 %v10, %v1
  %v12 = getelementptr i64, ptr %a0, i64 27
  %v13 = load ptr, ptr %v12
  %v14 = getelementptr double, ptr %v13, i64 %v11
  %v15 = load <2 x double>, ptr %v14, align 8
  %v16 = fadd <2 x double> %v9, %v15
  %v17 = getelementptr i64, ptr %a0, i64 4
  %v18 = load i64, ptr %v17
  %v19 = mul i64 %a1, %v18
  %v20 = add i64 %v19, %a3
  %v21 = getelementptr i64, ptr %a0, i64 22
  %v22 = load ptr, ptr %v21
  %v23 = mul i64 %v20, 4
  %v24 = getelementptr double, ptr %v22, i64 %v23
  %v25 = load <2 x double>, ptr %v24, align 8
  %v26 = fmul contract <2 x double> %v16, %v25
  %v27 = getelementptr double, ptr %v24, i64 2
  %v28 = load <2 x double>, ptr %v27, align 8
  %v29 = fmul contract <2 x double> %v16, %v28
  %v30 = mul i64 %a4, 2
  %v31 = add i64 %v30, %v1
  %v32 = getelementptr i64, ptr %a0, i64 23
  %v33 = load ptr, ptr %v32
  %v34 = getelementptr double, ptr %v33, i64 %v31
  %v35 = load <2 x double>, ptr %v34, align 8
  %v36 = fmul contract <2 x double> %v16, %v35
  %v37 = fsub contract <2 x double> %v29, %v36
  %v38 = fsub contract <2 x double> splat (double 0x3FF0000000000000), %v25
  %v39 = fmul contract <2 x double> %v25, %v38
  %v40 = fmul contract <2 x double> %v37, %v39
  %v41 = fmul contract <2 x double> %v16, %v38
  %v42 = mul i64 %a1, %v18
  %v43 = add i64 %v42, %a3
  %v44 = getelementptr i64, ptr %a0, i64 28
  %v45 = load ptr, ptr %v44
  %v46 = mul i64 %v43, 4
  %v47 = getelementptr double, ptr %v45, i64 %v46
  store <2 x double> %v26, ptr %v47, align 8
  %v48 = getelementptr double, ptr %v47, i64 2
  store <2 x double> %v40, ptr %v48, align 8
  store <2 x double> %v41, ptr %v14, align 8
  ret void
}
define void @backward(ptr %a0, i64 %a1) nounwind {
entry:
  %v1 = icmp sle i64 %a1, 1
  br i1 %v1, label %then2, label %after3
then2:
  call void @walk_back(ptr %a0, i64 0, i64 1)
  br label %after3
after3:
  %v4 = icmp sgt i64 %a1, 1
  br i1 %v4, label %then5, label %after6
then5:
  %v7 = trunc i64 %a1 to i32
  call void @GOMP_parallel(ptr @walk_back_team, ptr %a0, i32 %v7, i32 0)
  br label %after6
after6:
  ret void
}
define internal void @i0_0_1_1(ptr %a0, i64 %a1, i64 %a2, i64 %a3, i64 %a4, i64 %a5, i64 %a6) nounwind {
entry:
  %v1 = mul i64 %a1, 2
  %v2 = getelementptr i64, ptr %a0, i64 29
  %v3 = load ptr, ptr %v2
  %v4 = mul i64 %a1, 8
  %v5 = getelementptr double, ptr %v3, i64 %v4
  %v6 = getelementptr i64, ptr %a0, i64 4
  %v7 = load i64, ptr %v6
  %v8 = mul i64 %v7, 4
  %v9 = mul i64 %a3, 4
  %v10 = getelementptr i64, ptr %a0, i64 28
  %v11 = load ptr, ptr %v10
  %v12 = getelementptr double, ptr %v11, i64 %v9
  br label %head13
head13:
  %v16 = phi i64 [0, %entry], [%v39, %end25]
  %v17 = phi <2 x double> [zeroinitializer, %entry], [%v27, %end25]
  %v18 = icmp slt i64 %v16, 1
  br i1 %v18, label %body14, label %end15
body14:
  %v19 = mul i64 %v16, %v8
  %v20 = getelementptr double, ptr %v12, i64 %v19
  %v21 = mul i64 %v16, 8
  %v22 = getelementptr double, ptr %v5, i64 %v21
  br label %head23
head23:
  %v26 = phi i64 [0, %body14], [%v37, %body24]
  %v27 = phi <2 x double> [%v17, %body14], [%v36, %body24]
  %v28 = icmp slt i64 %v26, 4
  br i1 %v28, label %body24, label %end25
body24:
  %v29 = mul i64 %v26, 2
  %v30 = getelementptr double, ptr %v22, i64 %v29
  %v31 = load <2 x double>, ptr %v30, align 8
  %v32 = getelementptr double, ptr %v20, i64 %v26
  %v33 = load double, ptr %v32, align 8
  %v34 = insertelement <2 x double> poison, double %v33, i32 0
  %v35 = shufflevector <2 x double> %v34, <2 x double> poison, <2 x i32> zeroinitializer
  %v36 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v35, <2 x double> %v31, <2 x double> %v27)
  %v37 = add i64 %v26, 1
  br label %head23
end25:
  %v38 = getelementptr double, ptr %v22, i64 8
  %v39 = add i64 %v16, 1
  br label %head13
end15:
  %v40 = mul i64 %a3, 2
  %v41 = add i64 %v40, %v1
  %v42 = getelementptr i64, ptr %a0, i64 30
  %v43 = load ptr, ptr %v42
  %v44 = getelementptr double, ptr %v43, i64 %v41
  store <2 x double> %v17, ptr %v44, align 8
  ret void
}
define void @input0(ptr %a0, i64 %a1) nounwind {
entry:
  %v1 = icmp sle i64 %a1, 1
  br i1 %v1, label %then2, label %after3
then2:
  call void @all_i0_0(ptr %a0, i64 0, i64 1)
  br label %after3
after3:
  %v4 = icmp sgt i64 %a1, 1
  br i1 %v4, label %then5, label %after6
then5:
  %v7 = trunc i64 %a1 to i32
  call void @GOMP_parallel(ptr @all_i0_0_team, ptr %a0, i32 %v7, i32 0)
  br label %after6
after6:
  ret void
}
define internal void @weights0_1_1(ptr %a0, i64 %a1, ptr %a2, i64 %a3, ptr %a4, i64 %a5, i64 %a6, ptr %a7, i64 %a8, i64 %a9, i64 %a10) nounwind {
entry:
  br label %head1
head1:
  %v4 = phi i64 [%a8, %entry], [%v36, %end22]
  %v5 = phi <2 x double> [zeroinitializer, %entry], [%v24, %end22]
  %v6 = icmp slt i64 %v4, %a9
  br i1 %v6, label %body2, label %end3
body2:
  %v7 = mul i64 %v4, 3
  %v8 = getelementptr i64, ptr %a7, i64 %v7
  %v9 = load i64, ptr %v8
  %v10 = add i64 %v7, 2
  %v11 = getelementptr i64, ptr %a7, i64 %v10
  %v12 = load i64, ptr %v11
  %v13 = add i64 %v7, %a10
  %v14 = getelementptr i64, ptr %a7, i64 %v13
  %v15 = load i64, ptr %v14
  %v16 = mul i64 %v15, %a1
  %v17 = getelementptr double, ptr %a0, i64 %v16
  %v18 = mul i64 %v9, %a3
  %v19 = getelementptr double, ptr %a2, i64 %v18
  br label %head20
head20:
  %v23 = phi i64 [0, %body2], [%v35, %body21]
  %v24 = phi <2 x double> [%v5, %body2], [%v34, %body21]
  %v25 = icmp slt i64 %v23, %v12
  br i1 %v25, label %body21, label %end22
body21:
  %v26 = mul i64 %v23, %a1
  %v27 = getelementptr double, ptr %v17, i64 %v26
  %v28 = load <2 x double>, ptr %v27, align 8
  %v29 = mul i64 %v23, %a3
  %v30 = getelementptr double, ptr %v19, i64 %v29
  %v31 = load double, ptr %v30, align 8
  %v32 = insertelement <2 x double> poison, double %v31, i32 0
  %v33 = shufflevector <2 x double> %v32, <2 x double> poison, <2 x i32> zeroinitializer
  %v34 = call <2 x double> @llvm.fmuladd.v2f64(<2 x double> %v33, <2 x double> %v28, <2 x double> %v24)
  %v35 = add i64 %v23, 1
  br label %head20
end22:
  %v36 = add i64 %v4, 1
  br label %head1
end3:
  %v37 = load <2 x double>, ptr %a4, align 8
  %v38 = fadd <2 x double> %v37, %v5
  store <2 x double> %v38, ptr %a4, align 8
  ret void
}
define void @weights(ptr %a0, i64 %a1) nounwind {
entry:
  %v1 = icmp sle i64 %a1, 1
  br i1 %v1, label %then2, label %after3
then2:
  call void @weights0(ptr %a0, i64 0, i64 1)
  br label %after3
after3:
  %v4 = icmp sgt i64 %a1, 1
  br i1 %v4, label %then5, label %after6
then5:
  %v7 = trunc i64 %a1 to i32
  call void @GOMP_parallel(ptr @weights0_team, ptr %a0, i32 %v7, i32 0)
  br label %after6
after6:
  ret void
}
