"""Names in generated C: those of the program, made legal and unique."""

from __future__ import annotations

import re

# keywords, types and functions of OpenCL C that names of tensors and loops might be
_WORDS = """
auto break case char const constant continue default do double else enum extern float for
global goto half if image1d_t image2d_t image3d_t inline int kernel local long pipe private
read_only read_write register restrict return sampler_t short signed sizeof static struct switch
typedef uchar uint ulong union unsigned ushort void volatile while write_only bool true false
size_t ptrdiff_t intptr_t uintptr_t event_t quad complex imaginary uniform INFINITY NAN MAXFLOAT
abs acos acosh acospi add_sat all any asin atan barrier bitselect cbrt ceil clamp clz copysign
cos cosh cross degrees distance dot erf erfc exp exp10 exp2 expm1 fabs fdim floor fma fmax fmin
fmod fract frexp hadd hypot ilogb isequal isfinite isinf isnan ldexp length lgamma log log10
log1p log2 logb mad max min mix modf nan nextafter normalize popcount pow pown powr prefetch
printf radians remainder remquo rhadd rint rootn rotate round rsqrt select shuffle shuffle2 sign
signbit sin sincos sinh smoothstep sqrt step tan tanh tgamma trunc upsample NULL main linux unix
status checked_index acosh asinh atanh atan2 atan2pi asinpi atanpi cospi sinpi tanpi lgamma_r
fast_distance fast_length fast_normalize ctz mad24 mul24 mad_hi mul_hi mad_sat sub_sat abs_diff
maxmag minmag isgreater isgreaterequal isless islessequal islessgreater isnormal isordered
isnotequal isunordered vec_step mem_fence read_mem_fence write_mem_fence wait_group_events ndrange_t
queue_t reserve_id_t clk_event_t cl_mem_fence_flags bool2 bool3 bool4 bool8 bool16"""
_RESERVED = frozenset(_WORDS.split())
# families of them: limits and constants (M_E is e), vectors, conversions, functions of work-items
_FAMILIES = re.compile(
    r"(M|CL|CLK|FLT|DBL|HALF|S?CHAR|SHRT|INT|LONG|UCHAR|USHRT|UINT|ULONG|FP|HUGE|ATOMIC|__OPENCL)_"
    r"|u?(char|short|int|long)\d+$|(half|float|double|quad)\d+$"
    r"|(as|convert|atom|atomic|native|half|get|async|work_group|sub_group|image|memory|_cl)_"
    r"|v(load|store)"
)


class Names:
    """Names given so far in one scope of C, and those of the scopes around it."""

    def __init__(self, taken: frozenset[str] | set[str] = frozenset()) -> None:
        self._taken = set(taken)

    def fresh(self, wanted: str) -> str:
        """A legal name like the one wanted that nothing else has."""
        name = re.sub(r"\W", "_", wanted) or "v"
        if name[0].isdigit() or name.startswith("__") or _FAMILIES.match(name):
            name = f"v{name}"
        chosen, number = name, 1
        while chosen in self._taken or chosen in _RESERVED:
            number += 1
            chosen = f"{name}_{number}"
        self._taken.add(chosen)
        return chosen

    def copy(self) -> Names:
        """The names as they are now, for a scope inside."""
        return Names(self._taken)
