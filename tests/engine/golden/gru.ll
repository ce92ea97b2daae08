declare <4 x float> @llvm.masked.load.v4f32.p0(ptr, i32, <4 x i1>, <4 x float>)
declare i32 @omp_get_thread_num()
declare i32 @omp_get_num_threads()
declare void @GOMP_parallel(ptr, ptr, i32, i32)
declare <4 x float> @llvm.fmuladd.v4f32(<4 x float>, <4 x float>, <4 x float>)
declare <4 x float> @llvm.rint.v4f32(<4 x float>)
declare <4 x float> @llvm.floor.v4f32(<4 x float>)
declare <4 x float> @llvm.fabs.v4f32(<4 x float>)
declare <4 x float> @llvm.copysign.v4f32(<4 x float>, <4 x float>)
declare i32 @sched_yield()

define internal void @xf0_4_1_1(ptr %a0, i64 %a1, i64 %a2, i64 %a3, i64 %a4, i64 %a5, i64 %a6) nounwind {
entry:
  %v1 = mul i64 %a1, 4
  %v2 = getelementptr i64, ptr %a0, i64 21
  %v3 = load ptr, ptr %v2
  %v4 = getelementptr float, ptr %v3, i64 4
  %v5 = getelementptr float, ptr %v4, i64 %v1
  %v6 = load <4 x float>, ptr %v5, align 4
  %v7 = getelementptr float, ptr %v3, i64 8
  %v8 = getelementptr float, ptr %v7, i64 %v1
  %v9 = load <4 x float>, ptr %v8, align 4
  %v10 = getelementptr float, ptr %v3, i64 %v1
  %v11 = load <4 x float>, ptr %v10, align 4
  %v12 = getelementptr i64, ptr %a0, i64 18
  %v13 = load ptr, ptr %v12
  %v14 = mul i64 %a1, 24
  %v15 = getelementptr float, ptr %v13, i64 %v14
  %v16 = getelementptr i64, ptr %a0, i64 22
  %v17 = load i64, ptr %v16
  %v18 = mul i64 %a3, %v17
  %v19 = getelementptr i64, ptr %a0, i64 23
  %v20 = load ptr, ptr %v19
  %v21 = getelementptr float, ptr %v20, i64 %v18
  br label %head22
head22:
  %v25 = phi i64 [0, %entry], [%v44, %body23]
  %v26 = phi <4 x float> [%v6, %entry], [%v41, %body23]
  %v27 = phi <4 x float> [%v9, %entry], [%v42, %body23]
  %v28 = phi <4 x float> [%v11, %entry], [%v43, %body23]
  %v29 = icmp slt i64 %v25, 2
  br i1 %v29, label %body23, label %end24
body23:
  %v30 = mul i64 %v25, 12
  %v31 = getelementptr float, ptr %v15, i64 %v30
  %v32 = load <4 x float>, ptr %v31, align 4
  %v33 = getelementptr float, ptr %v31, i64 4
  %v34 = load <4 x float>, ptr %v33, align 4
  %v35 = getelementptr float, ptr %v31, i64 8
  %v36 = load <4 x float>, ptr %v35, align 4
  %v37 = getelementptr float, ptr %v21, i64 %v25
  %v38 = load float, ptr %v37, align 4
  %v39 = insertelement <4 x float> poison, float %v38, i32 0
  %v40 = shufflevector <4 x float> %v39, <4 x float> poison, <4 x i32> zeroinitializer
  %v41 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v40, <4 x float> %v32, <4 x float> %v26)
  %v42 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v40, <4 x float> %v34, <4 x float> %v27)
  %v43 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v40, <4 x float> %v36, <4 x float> %v28)
  %v44 = add i64 %v25, 1
  br label %head22
end24:
  %v45 = getelementptr i64, ptr %a0, i64 4
  %v46 = load i64, ptr %v45
  %v47 = mul i64 %a1, %v46
  %v48 = add i64 %v47, %a3
  %v49 = getelementptr i64, ptr %a0, i64 24
  %v50 = load ptr, ptr %v49
  %v51 = mul i64 %v48, 12
  %v52 = getelementptr float, ptr %v50, i64 %v51
  store <4 x float> %v26, ptr %v52, align 4
  %v53 = getelementptr float, ptr %v52, i64 4
  store <4 x float> %v27, ptr %v53, align 4
  %v54 = getelementptr float, ptr %v52, i64 8
  store <4 x float> %v28, ptr %v54, align 4
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
  %v8 = mul i64 %v5, 12
  %v9 = getelementptr float, ptr %v7, i64 %v8
  %v10 = load <4 x float>, ptr %v9, align 4
  %v11 = getelementptr float, ptr %v9, i64 4
  %v12 = load <4 x float>, ptr %v11, align 4
  %v13 = getelementptr float, ptr %v9, i64 8
  %v14 = load <4 x float>, ptr %v13, align 4
  %v15 = getelementptr i64, ptr %a0, i64 20
  %v16 = load ptr, ptr %v15
  %v17 = mul i64 %a1, 48
  %v18 = getelementptr float, ptr %v16, i64 %v17
  %v19 = mul i64 %a4, 4
  %v20 = getelementptr i64, ptr %a0, i64 25
  %v21 = load ptr, ptr %v20
  %v22 = getelementptr float, ptr %v21, i64 %v19
  br label %head23
head23:
  %v26 = phi i64 [0, %entry], [%v45, %body24]
  %v27 = phi <4 x float> [%v10, %entry], [%v42, %body24]
  %v28 = phi <4 x float> [%v14, %entry], [%v43, %body24]
  %v29 = phi <4 x float> [zeroinitializer, %entry], [%v44, %body24]
  %v30 = icmp slt i64 %v26, 4
  br i1 %v30, label %body24, label %end25
body24:
  %v31 = mul i64 %v26, 12
  %v32 = getelementptr float, ptr %v18, i64 %v31
  %v33 = load <4 x float>, ptr %v32, align 4
  %v34 = getelementptr float, ptr %v32, i64 4
  %v35 = load <4 x float>, ptr %v34, align 4
  %v36 = getelementptr float, ptr %v32, i64 8
  %v37 = load <4 x float>, ptr %v36, align 4
  %v38 = getelementptr float, ptr %v22, i64 %v26
  %v39 = load float, ptr %v38, align 4
  %v40 = insertelement <4 x float> poison, float %v39, i32 0
  %v41 = shufflevector <4 x float> %v40, <4 x float> poison, <4 x i32> zeroinitializer
  %v42 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v41, <4 x float> %v33, <4 x float> %v27)
  %v43 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v41, <4 x float> %v35, <4 x float> %v28)
  %v44 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v41, <4 x float> %v37, <4 x float> %v29)
  %v45 = add i64 %v26, 1
  br label %head23
end25:
  %v46 = fcmp ogt <4 x float> %v27, splat (float 0x4056000000000000)
  %v47 = select <4 x i1> %v46, <4 x float> splat (float 0x4056000000000000), <4 x float> %v27
  %v48 = fcmp olt <4 x float> %v47, splat (float 0xC05A000000000000)
  %v49 = select <4 x i1> %v48, <4 x float> splat (float 0xC05A000000000000), <4 x float> %v47
  %v50 = fmul <4 x float> %v49, splat (float 0x3FF7154760000000)
  %v51 = call <4 x float> @llvm.rint.v4f32(<4 x float> %v50)
  %v52 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v51, <4 x float> splat (float 0xBFE6300000000000), <4 x float> %v49)
  %v53 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v51, <4 x float> splat (float 0x3F2BD01060000000), <4 x float> %v52)
  %v54 = fmul <4 x float> %v51, splat (float 0x3FE0000000000000)
  %v55 = call <4 x float> @llvm.floor.v4f32(<4 x float> %v54)
  %v56 = fptosi <4 x float> %v55 to <4 x i32>
  %v57 = add <4 x i32> %v56, splat (i32 127)
  %v58 = shl <4 x i32> %v57, splat (i32 23)
  %v59 = bitcast <4 x i32> %v58 to <4 x float>
  %v60 = fmul <4 x float> splat (float 0x3FF0000000000000), %v59
  %v61 = fsub <4 x float> %v51, %v55
  %v62 = fptosi <4 x float> %v61 to <4 x i32>
  %v63 = add <4 x i32> %v62, splat (i32 127)
  %v64 = shl <4 x i32> %v63, splat (i32 23)
  %v65 = bitcast <4 x i32> %v64 to <4 x float>
  %v66 = fmul <4 x float> %v60, %v65
  %v67 = fneg <4 x float> %v53
  %v68 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> splat (float 0xBF2A032CC0000000), <4 x float> %v53, <4 x float> splat (float 0x3F56D72C00000000))
  %v69 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v68, <4 x float> %v53, <4 x float> splat (float 0xBF811118A0000000))
  %v70 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v69, <4 x float> %v53, <4 x float> splat (float 0x3FA5554B00000000))
  %v71 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v70, <4 x float> %v53, <4 x float> splat (float 0xBFC5555540000000))
  %v72 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v71, <4 x float> %v53, <4 x float> splat (float 0x3FE0000000000000))
  %v73 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v72, <4 x float> %v67, <4 x float> splat (float 0x3FF0000000000000))
  %v74 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v73, <4 x float> %v67, <4 x float> %v66)
  %v75 = fadd <4 x float> %v74, splat (float 0x3FF0000000000000)
  %v76 = fdiv <4 x float> %v66, %v75
  %v77 = fsub contract <4 x float> splat (float 0x3FF0000000000000), %v76
  %v78 = fcmp ogt <4 x float> %v28, splat (float 0x4056000000000000)
  %v79 = select <4 x i1> %v78, <4 x float> splat (float 0x4056000000000000), <4 x float> %v28
  %v80 = fcmp olt <4 x float> %v79, splat (float 0xC05A000000000000)
  %v81 = select <4 x i1> %v80, <4 x float> splat (float 0xC05A000000000000), <4 x float> %v79
  %v82 = fmul <4 x float> %v81, splat (float 0x3FF7154760000000)
  %v83 = call <4 x float> @llvm.rint.v4f32(<4 x float> %v82)
  %v84 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v83, <4 x float> splat (float 0xBFE6300000000000), <4 x float> %v81)
  %v85 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v83, <4 x float> splat (float 0x3F2BD01060000000), <4 x float> %v84)
  %v86 = fmul <4 x float> %v83, splat (float 0x3FE0000000000000)
  %v87 = call <4 x float> @llvm.floor.v4f32(<4 x float> %v86)
  %v88 = fptosi <4 x float> %v87 to <4 x i32>
  %v89 = add <4 x i32> %v88, splat (i32 127)
  %v90 = shl <4 x i32> %v89, splat (i32 23)
  %v91 = bitcast <4 x i32> %v90 to <4 x float>
  %v92 = fmul <4 x float> splat (float 0x3FF0000000000000), %v91
  %v93 = fsub <4 x float> %v83, %v87
  %v94 = fptosi <4 x float> %v93 to <4 x i32>
  %v95 = add <4 x i32> %v94, splat (i32 127)
  %v96 = shl <4 x i32> %v95, splat (i32 23)
  %v97 = bitcast <4 x i32> %v96 to <4 x float>
  %v98 = fmul <4 x float> %v92, %v97
  %v99 = fneg <4 x float> %v85
  %v100 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> splat (float 0xBF2A032CC0000000), <4 x float> %v85, <4 x float> splat (float 0x3F56D72C00000000))
  %v101 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v100, <4 x float> %v85, <4 x float> splat (float 0xBF811118A0000000))
  %v102 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v101, <4 x float> %v85, <4 x float> splat (float 0x3FA5554B00000000))
  %v103 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v102, <4 x float> %v85, <4 x float> splat (float 0xBFC5555540000000))
  %v104 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v103, <4 x float> %v85, <4 x float> splat (float 0x3FE0000000000000))
  %v105 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v104, <4 x float> %v99, <4 x float> splat (float 0x3FF0000000000000))
  %v106 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v105, <4 x float> %v99, <4 x float> %v98)
  %v107 = fadd <4 x float> %v106, splat (float 0x3FF0000000000000)
  %v108 = fdiv <4 x float> %v98, %v107
  %v109 = fmul contract <4 x float> %v108, %v29
  %v110 = fadd contract <4 x float> %v12, %v109
  %v111 = call <4 x float> @llvm.fabs.v4f32(<4 x float> %v110)
  %v112 = fcmp ogt <4 x float> %v111, splat (float 0x4024000000000000)
  %v113 = select <4 x i1> %v112, <4 x float> splat (float 0x4024000000000000), <4 x float> %v111
  %v114 = fadd <4 x float> %v113, %v113
  %v115 = fmul <4 x float> %v114, splat (float 0x3FF7154760000000)
  %v116 = call <4 x float> @llvm.rint.v4f32(<4 x float> %v115)
  %v117 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v116, <4 x float> splat (float 0xBFE6300000000000), <4 x float> %v114)
  %v118 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v116, <4 x float> splat (float 0x3F2BD01060000000), <4 x float> %v117)
  %v119 = fmul <4 x float> %v116, splat (float 0x3FE0000000000000)
  %v120 = call <4 x float> @llvm.floor.v4f32(<4 x float> %v119)
  %v121 = fptosi <4 x float> %v120 to <4 x i32>
  %v122 = add <4 x i32> %v121, splat (i32 127)
  %v123 = shl <4 x i32> %v122, splat (i32 23)
  %v124 = bitcast <4 x i32> %v123 to <4 x float>
  %v125 = fmul <4 x float> splat (float 0x3FF0000000000000), %v124
  %v126 = fsub <4 x float> %v116, %v120
  %v127 = fptosi <4 x float> %v126 to <4 x i32>
  %v128 = add <4 x i32> %v127, splat (i32 127)
  %v129 = shl <4 x i32> %v128, splat (i32 23)
  %v130 = bitcast <4 x i32> %v129 to <4 x float>
  %v131 = fmul <4 x float> %v125, %v130
  %v132 = fmul <4 x float> %v131, %v118
  %v133 = fadd <4 x float> %v131, splat (float 0xBFF0000000000000)
  %v134 = fadd <4 x float> %v132, %v133
  %v135 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> splat (float 0x3F2A032CC0000000), <4 x float> %v118, <4 x float> splat (float 0x3F56D72C00000000))
  %v136 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v135, <4 x float> %v118, <4 x float> splat (float 0x3F811118A0000000))
  %v137 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v136, <4 x float> %v118, <4 x float> splat (float 0x3FA5554B00000000))
  %v138 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v137, <4 x float> %v118, <4 x float> splat (float 0x3FC5555540000000))
  %v139 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v138, <4 x float> %v118, <4 x float> splat (float 0x3FE0000000000000))
  %v140 = fmul <4 x float> %v132, %v118
  %v141 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v139, <4 x float> %v140, <4 x float> %v134)
  %v142 = fadd <4 x float> %v141, splat (float 0x4000000000000000)
  %v143 = fdiv <4 x float> %v141, %v142
  %v144 = fmul <4 x float> %v141, splat (float 0x3FE0000000000000)
  %v145 = fneg <4 x float> %v144
  %v146 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v145, <4 x float> %v143, <4 x float> %v144)
  %v147 = fcmp olt <4 x float> %v144, splat (float 0x3FD0000000000000)
  %v148 = select <4 x i1> %v147, <4 x float> %v146, <4 x float> %v143
  %v149 = call <4 x float> @llvm.copysign.v4f32(<4 x float> %v148, <4 x float> %v110)
  %v150 = fmul contract <4 x float> %v77, %v149
  %v151 = mul i64 %a4, 4
  %v152 = add i64 %v151, %v1
  %v153 = getelementptr float, ptr %v21, i64 %v152
  %v154 = load <4 x float>, ptr %v153, align 4
  %v155 = fmul contract <4 x float> %v76, %v154
  %v156 = fadd contract <4 x float> %v150, %v155
  %v157 = mul i64 %a3, 4
  %v158 = add i64 %v157, %v1
  %v159 = getelementptr i64, ptr %a0, i64 26
  %v160 = load ptr, ptr %v159
  %v161 = getelementptr float, ptr %v160, i64 %v158
  store <4 x float> %v156, ptr %v161, align 4
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
