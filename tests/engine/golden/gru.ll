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
  %v46 = call <4 x float> @llvm.fabs.v4f32(<4 x float> %v27)
  %v47 = fneg <4 x float> %v46
  %v48 = fcmp olt <4 x float> %v47, splat (float 0xC05A000000000000)
  %v49 = select <4 x i1> %v48, <4 x float> splat (float 0xC05A000000000000), <4 x float> %v47
  %v50 = fmul <4 x float> %v49, splat (float 0x3FF7154760000000)
  %v51 = call <4 x float> @llvm.rint.v4f32(<4 x float> %v50)
  %v52 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v51, <4 x float> splat (float 0xBFE6300000000000), <4 x float> %v49)
  %v53 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v51, <4 x float> splat (float 0x3F2BD01060000000), <4 x float> %v52)
  %v54 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> splat (float 0x3F2A0D2CE0000000), <4 x float> %v53, <4 x float> splat (float 0x3F56E879C0000000))
  %v55 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v54, <4 x float> %v53, <4 x float> splat (float 0x3F81112100000000))
  %v56 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v55, <4 x float> %v53, <4 x float> splat (float 0x3FA5553820000000))
  %v57 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v56, <4 x float> %v53, <4 x float> splat (float 0x3FC5555540000000))
  %v58 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v57, <4 x float> %v53, <4 x float> splat (float 0x3FE0000000000000))
  %v59 = fmul <4 x float> %v53, %v53
  %v60 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v59, <4 x float> %v58, <4 x float> %v53)
  %v61 = fadd <4 x float> %v60, splat (float 0x3FF0000000000000)
  %v62 = fmul <4 x float> %v51, splat (float 0x3FE0000000000000)
  %v63 = call <4 x float> @llvm.floor.v4f32(<4 x float> %v62)
  %v64 = fptosi <4 x float> %v63 to <4 x i32>
  %v65 = add <4 x i32> %v64, splat (i32 127)
  %v66 = shl <4 x i32> %v65, splat (i32 23)
  %v67 = bitcast <4 x i32> %v66 to <4 x float>
  %v68 = fmul <4 x float> %v61, %v67
  %v69 = fsub <4 x float> %v51, %v63
  %v70 = fptosi <4 x float> %v69 to <4 x i32>
  %v71 = add <4 x i32> %v70, splat (i32 127)
  %v72 = shl <4 x i32> %v71, splat (i32 23)
  %v73 = bitcast <4 x i32> %v72 to <4 x float>
  %v74 = fmul <4 x float> %v68, %v73
  %v75 = fadd <4 x float> %v74, splat (float 0x3FF0000000000000)
  %v76 = fdiv <4 x float> splat (float 0x3FF0000000000000), %v75
  %v77 = fmul <4 x float> %v74, %v76
  %v78 = fneg <4 x float> %v77
  %v79 = fcmp olt <4 x float> %v27, splat (float 0x0000000000000000)
  %v80 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v78, <4 x float> %v74, <4 x float> %v74)
  %v81 = select <4 x i1> %v79, <4 x float> %v80, <4 x float> %v76
  %v82 = fsub contract <4 x float> splat (float 0x3FF0000000000000), %v81
  %v83 = call <4 x float> @llvm.fabs.v4f32(<4 x float> %v28)
  %v84 = fneg <4 x float> %v83
  %v85 = fcmp olt <4 x float> %v84, splat (float 0xC05A000000000000)
  %v86 = select <4 x i1> %v85, <4 x float> splat (float 0xC05A000000000000), <4 x float> %v84
  %v87 = fmul <4 x float> %v86, splat (float 0x3FF7154760000000)
  %v88 = call <4 x float> @llvm.rint.v4f32(<4 x float> %v87)
  %v89 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v88, <4 x float> splat (float 0xBFE6300000000000), <4 x float> %v86)
  %v90 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v88, <4 x float> splat (float 0x3F2BD01060000000), <4 x float> %v89)
  %v91 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> splat (float 0x3F2A0D2CE0000000), <4 x float> %v90, <4 x float> splat (float 0x3F56E879C0000000))
  %v92 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v91, <4 x float> %v90, <4 x float> splat (float 0x3F81112100000000))
  %v93 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v92, <4 x float> %v90, <4 x float> splat (float 0x3FA5553820000000))
  %v94 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v93, <4 x float> %v90, <4 x float> splat (float 0x3FC5555540000000))
  %v95 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v94, <4 x float> %v90, <4 x float> splat (float 0x3FE0000000000000))
  %v96 = fmul <4 x float> %v90, %v90
  %v97 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v96, <4 x float> %v95, <4 x float> %v90)
  %v98 = fadd <4 x float> %v97, splat (float 0x3FF0000000000000)
  %v99 = fmul <4 x float> %v88, splat (float 0x3FE0000000000000)
  %v100 = call <4 x float> @llvm.floor.v4f32(<4 x float> %v99)
  %v101 = fptosi <4 x float> %v100 to <4 x i32>
  %v102 = add <4 x i32> %v101, splat (i32 127)
  %v103 = shl <4 x i32> %v102, splat (i32 23)
  %v104 = bitcast <4 x i32> %v103 to <4 x float>
  %v105 = fmul <4 x float> %v98, %v104
  %v106 = fsub <4 x float> %v88, %v100
  %v107 = fptosi <4 x float> %v106 to <4 x i32>
  %v108 = add <4 x i32> %v107, splat (i32 127)
  %v109 = shl <4 x i32> %v108, splat (i32 23)
  %v110 = bitcast <4 x i32> %v109 to <4 x float>
  %v111 = fmul <4 x float> %v105, %v110
  %v112 = fadd <4 x float> %v111, splat (float 0x3FF0000000000000)
  %v113 = fdiv <4 x float> splat (float 0x3FF0000000000000), %v112
  %v114 = fmul <4 x float> %v111, %v113
  %v115 = fneg <4 x float> %v114
  %v116 = fcmp olt <4 x float> %v28, splat (float 0x0000000000000000)
  %v117 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v115, <4 x float> %v111, <4 x float> %v111)
  %v118 = select <4 x i1> %v116, <4 x float> %v117, <4 x float> %v113
  %v119 = fmul contract <4 x float> %v118, %v29
  %v120 = fadd contract <4 x float> %v12, %v119
  %v121 = call <4 x float> @llvm.fabs.v4f32(<4 x float> %v120)
  %v122 = fcmp ogt <4 x float> %v121, splat (float 0x4024000000000000)
  %v123 = select <4 x i1> %v122, <4 x float> splat (float 0x4024000000000000), <4 x float> %v121
  %v124 = fadd <4 x float> %v123, %v123
  %v125 = fmul <4 x float> %v124, splat (float 0x3FF7154760000000)
  %v126 = call <4 x float> @llvm.rint.v4f32(<4 x float> %v125)
  %v127 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v126, <4 x float> splat (float 0xBFE6300000000000), <4 x float> %v124)
  %v128 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v126, <4 x float> splat (float 0x3F2BD01060000000), <4 x float> %v127)
  %v129 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> splat (float 0x3F2A0D2CE0000000), <4 x float> %v128, <4 x float> splat (float 0x3F56E879C0000000))
  %v130 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v129, <4 x float> %v128, <4 x float> splat (float 0x3F81112100000000))
  %v131 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v130, <4 x float> %v128, <4 x float> splat (float 0x3FA5553820000000))
  %v132 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v131, <4 x float> %v128, <4 x float> splat (float 0x3FC5555540000000))
  %v133 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v132, <4 x float> %v128, <4 x float> splat (float 0x3FE0000000000000))
  %v134 = fmul <4 x float> %v128, %v128
  %v135 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v134, <4 x float> %v133, <4 x float> %v128)
  %v136 = fadd <4 x float> %v135, splat (float 0x3FF0000000000000)
  %v137 = fmul <4 x float> %v126, splat (float 0x3FE0000000000000)
  %v138 = call <4 x float> @llvm.floor.v4f32(<4 x float> %v137)
  %v139 = fptosi <4 x float> %v138 to <4 x i32>
  %v140 = add <4 x i32> %v139, splat (i32 127)
  %v141 = shl <4 x i32> %v140, splat (i32 23)
  %v142 = bitcast <4 x i32> %v141 to <4 x float>
  %v143 = fmul <4 x float> %v136, %v142
  %v144 = fsub <4 x float> %v126, %v138
  %v145 = fptosi <4 x float> %v144 to <4 x i32>
  %v146 = add <4 x i32> %v145, splat (i32 127)
  %v147 = shl <4 x i32> %v146, splat (i32 23)
  %v148 = bitcast <4 x i32> %v147 to <4 x float>
  %v149 = fmul <4 x float> %v143, %v148
  %v150 = fadd <4 x float> %v149, splat (float 0x3FF0000000000000)
  %v151 = fdiv <4 x float> splat (float 0x4000000000000000), %v150
  %v152 = fsub <4 x float> splat (float 0x3FF0000000000000), %v151
  %v153 = call <4 x float> @llvm.copysign.v4f32(<4 x float> %v152, <4 x float> %v120)
  %v154 = fmul <4 x float> %v120, %v120
  %v155 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> splat (float 0xBF775E1D40000000), <4 x float> %v154, <4 x float> splat (float 0x3F952269C0000000))
  %v156 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v155, <4 x float> %v154, <4 x float> splat (float 0xBFAB83C5A0000000))
  %v157 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v156, <4 x float> %v154, <4 x float> splat (float 0x3FC1107260000000))
  %v158 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v157, <4 x float> %v154, <4 x float> splat (float 0xBFD5555320000000))
  %v159 = fmul <4 x float> %v158, %v154
  %v160 = call <4 x float> @llvm.fmuladd.v4f32(<4 x float> %v159, <4 x float> %v120, <4 x float> %v120)
  %v161 = fcmp oeq <4 x float> %v120, splat (float 0x0000000000000000)
  %v162 = select <4 x i1> %v161, <4 x float> %v120, <4 x float> %v160
  %v163 = fcmp olt <4 x float> %v121, splat (float 0x3FE4000000000000)
  %v164 = select <4 x i1> %v163, <4 x float> %v162, <4 x float> %v153
  %v165 = fmul contract <4 x float> %v82, %v164
  %v166 = mul i64 %a4, 4
  %v167 = add i64 %v166, %v1
  %v168 = getelementptr float, ptr %v21, i64 %v167
  %v169 = load <4 x float>, ptr %v168, align 4
  %v170 = fmul contract <4 x float> %v81, %v169
  %v171 = fadd contract <4 x float> %v165, %v170
  %v172 = mul i64 %a3, 4
  %v173 = add i64 %v172, %v1
  %v174 = getelementptr i64, ptr %a0, i64 26
  %v175 = load ptr, ptr %v174
  %v176 = getelementptr float, ptr %v175, i64 %v173
  store <4 x float> %v171, ptr %v176, align 4
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
