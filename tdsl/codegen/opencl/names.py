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
status checked_index"""
_RESERVED = frozenset(_WORDS.split())


class Names:
    """Names given so far in one scope of C, and those of the scopes around it."""

    def __init__(self, taken: frozenset[str] | set[str] = frozenset()) -> None:
        self._taken = set(taken)

    def fresh(self, wanted: str) -> str:
        """A legal name like the one wanted that nothing else has."""
        name = re.sub(r"\W", "_", wanted) or "v"
        if name[0].isdigit() or name in _RESERVED or name.startswith("__"):
            name = f"{name.lstrip('_')}_" if not name[0].isdigit() else f"v{name}"
        chosen, number = name, 1
        while chosen in self._taken or chosen in _RESERVED:
            number += 1
            chosen = f"{name}_{number}"
        self._taken.add(chosen)
        return chosen

    def copy(self) -> Names:
        """The names as they are now, for a scope inside."""
        return Names(self._taken)
