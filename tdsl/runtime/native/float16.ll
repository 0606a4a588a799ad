; Conversions that LLVM calls by name where the CPU has no instruction for them: float16 without F16C,
; double to float16, float and double to bfloat16 without AVX512-BF16. All round to nearest, ties to
; even. The names are those of compiler-rt, which need not be in the process.

declare double @llvm.fabs.f64(double)

; Scale the exponent by an addition; subnormal numbers become normal through a float subtraction.
define float @__extendhfsf2(half %x) {
entry:
  %bits = bitcast half %x to i16
  %wide = zext i16 %bits to i32
  %magnitude = and i32 %wide, 32767
  %sign = and i32 %wide, 32768
  %high = shl i32 %sign, 16
  %shifted = shl i32 %magnitude, 13
  %exponent = and i32 %shifted, 260046848           ; 0x0f800000
  %scaled = add i32 %shifted, 939524096             ; (127 - 15) << 23
  %special = icmp eq i32 %exponent, 260046848
  %tiny = icmp eq i32 %exponent, 0
  %infinite = add i32 %scaled, 939524096            ; (128 - 16) << 23
  %lifted = add i32 %scaled, 8388608                ; 1 << 23
  %as_float = bitcast i32 %lifted to float
  %lowered = fsub float %as_float, 0x3F10000000000000   ; 2^-14
  %subnormal = bitcast float %lowered to i32
  %a = select i1 %special, i32 %infinite, i32 %scaled
  %b = select i1 %tiny, i32 %subnormal, i32 %a
  %c = or i32 %b, %high
  %result = bitcast i32 %c to float
  ret float %result
}

define half @__truncsfhf2(float %x) {
entry:
  %bits = bitcast float %x to i32
  %sign = lshr i32 %bits, 16
  %high = and i32 %sign, 32768
  %magnitude = and i32 %bits, 2147483647
  %nan = icmp ugt i32 %magnitude, 2139095040        ; infinity
  %large = icmp uge i32 %magnitude, 1199570944      ; 65536
  %tiny = icmp ult i32 %magnitude, 947912704        ; 2^-14
  %over = select i1 %nan, i32 32256, i32 31744
  %as_float = bitcast i32 %magnitude to float
  %aligned = fadd float %as_float, 5.000000e-01     ; one float step is now one subnormal step
  %aligned_bits = bitcast float %aligned to i32
  %subnormal = sub i32 %aligned_bits, 1056964608
  %kept = lshr i32 %magnitude, 13
  %odd = and i32 %kept, 1
  %rebased = add i32 %magnitude, -939520001         ; ((15 - 127) << 23) + 0xfff
  %rounded = add i32 %rebased, %odd
  %normal = lshr i32 %rounded, 13
  %a = select i1 %tiny, i32 %subnormal, i32 %normal
  %b = select i1 %large, i32 %over, i32 %a
  %c = or i32 %b, %high
  %narrow = trunc i32 %c to i16
  %result = bitcast i16 %narrow to half
  ret half %result
}

; Double to float, inexact results to the odd neighbour: rounding that again rounds only once.
define internal float @to_odd(double %x) alwaysinline {
entry:
  %near = fptrunc double %x to float
  %back = fpext float %near to double
  %inexact = fcmp one double %back, %x              ; false for NaN
  %far = call double @llvm.fabs.f64(double %back)
  %true = call double @llvm.fabs.f64(double %x)
  %above = fcmp ogt double %far, %true
  %step = zext i1 %above to i32
  %bits = bitcast float %near to i32
  %cut = sub i32 %bits, %step
  %odd = or i32 %cut, 1
  %chosen = select i1 %inexact, i32 %odd, i32 %bits
  %result = bitcast i32 %chosen to float
  ret float %result
}

define half @__truncdfhf2(double %x) {
entry:
  %odd = call float @to_odd(double %x)
  %result = call half @__truncsfhf2(float %odd)
  ret half %result
}

define bfloat @__truncsfbf2(float %x) {
entry:
  %bits = bitcast float %x to i32
  %magnitude = and i32 %bits, 2147483647
  %nan = icmp ugt i32 %magnitude, 2139095040
  %kept = lshr i32 %bits, 16
  %quiet = or i32 %kept, 64
  %odd = and i32 %kept, 1
  %half = add i32 %bits, 32767
  %rounded = add i32 %half, %odd
  %high = lshr i32 %rounded, 16
  %chosen = select i1 %nan, i32 %quiet, i32 %high
  %narrow = trunc i32 %chosen to i16
  %result = bitcast i16 %narrow to bfloat
  ret bfloat %result
}

define bfloat @__truncdfbf2(double %x) {
entry:
  %odd = call float @to_odd(double %x)
  %result = call bfloat @__truncsfbf2(float %odd)
  ret bfloat %result
}
