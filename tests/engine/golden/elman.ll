declare <4 x float> @llvm.masked.load.v4f32.p0(ptr, i32, <4 x i1>, <4 x float>)
declare i32 @omp_get_thread_num()
declare i32 @omp_get_num_threads()
declare void @GOMP_parallel(ptr, ptr, i32, i32)
declare <4 x float> @llvm.fmuladd.v4f32(<4 x float>, <4 x float>, <4 x float>)
declare <4 x float> @llvm.fabs.v4f32(<4 x float>)
declare <4 x float> @llvm.rint.v4f32(<4 x float>)
declare <4 x float> @llvm.floor.v4f32(<4 x float>)
declare <4 x float> @llvm.copysign.v4f32(<4 x float>, <4 x float>)
declare i32 @sched_yield()

define internal void @xf0_4_1_1(ptr %a0, i64 %a1, i64 %a2, i64 %a3, i64 %a4, i64 %a5, i64 %a6) nounwind {
entry:
  %v1 = mul i64 %a1, 4
  %v2 = getelementptr i64, ptr %a0, i64 21
  %v3 = load ptr, ptr %v2
  %v4 = getelementptr float, ptr %v3, i64 %v1
  %v5 = load <4 x float>, ptr %v4, align 4
  %v6 = getelementptr i64, ptr %a0, i64 18
  %v7 = load ptr, ptr %v6
  %v8 = mul i64 %a1, 8
  %v9 = getelementptr float, ptr %v7, i64 %v8
  %v10 = getelementptr i64, ptr %a0, i64 22
  %v11 = load i64, ptr %v10
  %v12 = mul i64 %a3, %v11
  %v13 = getelementptr i64, ptr %a0, i64 23
  %v14 = load ptr, ptr %v13
  %v15 = getelementptr float, ptr %v14, i64 %v12
  br label %head16
head16:
  %v19 = phi i64 [0, %entry], [%v30, %body17]
  %v20 = phi <4 x float> [%v5, %entry], [%v29, %body17]
  %v21 = icmp slt i64 %v19, 2
  br i1 %v21, label %body17, label %end18
body17:
  %v22 = mul i64 %v19, 4
  %v23 = getelementptr float, ptr %v9, i64 %v22
  %v24 = load <4 x float>, ptr %v23, align 4
  %v25 = getelementptr float, ptr %v15, i64 %v19
  %v26 = load float, ptr %v25, align 4
  %v27 = insertelement <4 x float> poison, float %v26, i32 0
  %v28 = shufflevector <4 x float> %v27, <4 x float> poison, <4 x i32> zeroinitializer
  %v29 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v28, <4 x float> %v24, <4 x float> %v20)
  %v30 = add i64 %v19, 1
  br label %head16
end18:
  %v31 = getelementptr i64, ptr %a0, i64 4
  %v32 = load i64, ptr %v31
  %v33 = mul i64 %a1, %v32
  %v34 = add i64 %v33, %a3
  %v35 = getelementptr i64, ptr %a0, i64 24
  %v36 = load ptr, ptr %v35
  %v37 = mul i64 %v34, 4
  %v38 = getelementptr float, ptr %v36, i64 %v37
  store <4 x float> %v20, ptr %v38, align 4
  ret void
}
define internal void @f0_4_1_1(ptr %a0, i64 %a1, i64 %a2, i64 %a3, i64 %a4, i64 %a5, i64 %a6) nounwind {
entry:
  %v1 = mul i64 %a1, 4
  %v2 = getelementptr i64, ptr %a0, i64 4
  %v3 = load i64, ptr %v2
  %v4 = mul i64 %a1, %v3
  %v5 = add i64 %v4, %a3
  %v6 = getelementptr i64, ptr %a0, i64 24
  %v7 = load ptr, ptr %v6
  %v8 = mul i64 %v5, 4
  %v9 = getelementptr float, ptr %v7, i64 %v8
  %v10 = load <4 x float>, ptr %v9, align 4
  %v11 = getelementptr i64, ptr %a0, i64 20
  %v12 = load ptr, ptr %v11
  %v13 = mul i64 %a1, 16
  %v14 = getelementptr float, ptr %v12, i64 %v13
  %v15 = mul i64 %a4, 4
  %v16 = getelementptr i64, ptr %a0, i64 25
  %v17 = load ptr, ptr %v16
  %v18 = getelementptr float, ptr %v17, i64 %v15
  br label %head19
head19:
  %v22 = phi i64 [0, %entry], [%v33, %body20]
  %v23 = phi <4 x float> [%v10, %entry], [%v32, %body20]
  %v24 = icmp slt i64 %v22, 4
  br i1 %v24, label %body20, label %end21
body20:
  %v25 = mul i64 %v22, 4
  %v26 = getelementptr float, ptr %v14, i64 %v25
  %v27 = load <4 x float>, ptr %v26, align 4
  %v28 = getelementptr float, ptr %v18, i64 %v22
  %v29 = load float, ptr %v28, align 4
  %v30 = insertelement <4 x float> poison, float %v29, i32 0
  %v31 = shufflevector <4 x float> %v30, <4 x float> poison, <4 x i32> zeroinitializer
  %v32 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v31, <4 x float> %v27, <4 x float> %v23)
  %v33 = add i64 %v22, 1
  br label %head19
end21:
  %v34 = call <4 x float> @llvm.fabs.v4f32(<4 x float> %v23)
  %v35 = fcmp ogt <4 x float> %v34, splat (float 0x4024000000000000)
  %v36 = select <4 x i1> %v35, <4 x float> splat (float 0x4024000000000000), <4 x float> %v34
  %v37 = fadd <4 x float> %v36, %v36
  %v38 = fmul <4 x float> %v37, splat (float 0x3FF7154760000000)
  %v39 = call <4 x float> @llvm.rint.v4f32(<4 x float> %v38)
  %v40 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v39, <4 x float> splat (float 0xBFE6300000000000), <4 x float> %v37)
  %v41 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v39, <4 x float> splat (float 0x3F2BD01060000000), <4 x float> %v40)
  %v42 = fmul <4 x float> %v39, splat (float 0x3FE0000000000000)
  %v43 = call <4 x float> @llvm.floor.v4f32(<4 x float> %v42)
  %v44 = fptosi <4 x float> %v43 to <4 x i32>
  %v45 = add <4 x i32> %v44, splat (i32 127)
  %v46 = shl <4 x i32> %v45, splat (i32 23)
  %v47 = bitcast <4 x i32> %v46 to <4 x float>
  %v48 = fmul <4 x float> splat (float 0x3FF0000000000000), %v47
  %v49 = fsub <4 x float> %v39, %v43
  %v50 = fptosi <4 x float> %v49 to <4 x i32>
  %v51 = add <4 x i32> %v50, splat (i32 127)
  %v52 = shl <4 x i32> %v51, splat (i32 23)
  %v53 = bitcast <4 x i32> %v52 to <4 x float>
  %v54 = fmul <4 x float> %v48, %v53
  %v55 = fmul <4 x float> %v54, %v41
  %v56 = fadd <4 x float> %v54, splat (float 0xBFF0000000000000)
  %v57 = fadd <4 x float> %v55, %v56
  %v58 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> splat (float 0x3F2A032CC0000000), <4 x float> %v41, <4 x float> splat (float 0x3F56D72C00000000))
  %v59 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v58, <4 x float> %v41, <4 x float> splat (float 0x3F811118A0000000))
  %v60 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v59, <4 x float> %v41, <4 x float> splat (float 0x3FA5554B00000000))
  %v61 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v60, <4 x float> %v41, <4 x float> splat (float 0x3FC5555540000000))
  %v62 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v61, <4 x float> %v41, <4 x float> splat (float 0x3FE0000000000000))
  %v63 = fmul <4 x float> %v55, %v41
  %v64 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v62, <4 x float> %v63, <4 x float> %v57)
  %v65 = fadd <4 x float> %v64, splat (float 0x4000000000000000)
  %v66 = fdiv <4 x float> %v64, %v65
  %v67 = fmul <4 x float> %v64, splat (float 0x3FE0000000000000)
  %v68 = fneg <4 x float> %v67
  %v69 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v68, <4 x float> %v66, <4 x float> %v67)
  %v70 = fcmp olt <4 x float> %v67, splat (float 0x3FD0000000000000)
  %v71 = select <4 x i1> %v70, <4 x float> %v69, <4 x float> %v66
  %v72 = call <4 x float> @llvm.copysign.v4f32(<4 x float> %v71, <4 x float> %v23)
  %v73 = mul i64 %a3, 4
  %v74 = add i64 %v73, %v1
  %v75 = getelementptr i64, ptr %a0, i64 26
  %v76 = load ptr, ptr %v75
  %v77 = getelementptr float, ptr %v76, i64 %v74
  store <4 x float> %v72, ptr %v77, align 4
  ret void
}
define void @forward(ptr %a0, i64 %a1) nounwind {
entry:
  %v1 = icmp sle i64 %a1, 1
  br i1 %v1, label %then2, label %after3
then2:
  call void @all_xf0_4(ptr %a0, i64 0, i64 1)
  call void @walk(ptr %a0, i64 0, i64 1)
  br label %after3
after3:
  %v4 = icmp sgt i64 %a1, 1
  br i1 %v4, label %then5, label %after6
then5:
  %v7 = trunc i64 %a1 to i32
  call void @GOMP_parallel(ptr @all_xf0_4_team, ptr %a0, i32 %v7, i32 0)
  call void @GOMP_parallel(ptr @walk_team, ptr %a0, i32 %v7, i32 0)
  br label %after6
after6:
  ret void
}
