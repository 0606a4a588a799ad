"""tdsl: a schedule language and compiler for tensor kernels.

Algorithms (what to compute) are declared with `td.placeholder`, `td.compute`, ...; schedules (how
to loop) with `td.Schedule`; `td.build` compiles. Names resolve on first use, so that importing
tdsl loads almost nothing.

    import tdsl as td
"""

from __future__ import annotations

import sys
from importlib import import_module

if sys.platform != "linux":
    raise ImportError(f"tdsl runs on Linux (x86-64 and aarch64), not on {sys.platform}")

__version__ = "0.1.0"

_MODULES = {
    "tdsl.errors": (
        "DeclarationError FormatError InternalError LoweringError ScheduleError Span TdslError "
        "TypeMismatch Witness"
    ),
    "tdsl.target": "Target target",
    "tdsl.lang.value": "Size Value cast maximum minimum select sizes",
    "tdsl.lang.tensor": ("Axis Tensor inout placeholder reduce_axis scan_axis unchecked"),
    "tdsl.lang.mathfns": (
        "abs acos asin atan atan2 ceil clz cos cosh erf exp exp2 expm1 floor fmod isinf isnan log "
        "log10 log1p log2 popcount pow round rsqrt sigmoid sin sinh sqrt tan tanh trunc"
    ),
    "tdsl.lang.reduce": "all any argmax argmin max min prod reducer sum",
    "tdsl.lang.compute": "compute",
    "tdsl.lang.update": "update",
    "tdsl.lang.scan": "scan",
    "tdsl.lang.sugar": "einsum pad reshape",
    "tdsl.lang.extern": "extern",
    "tdsl.lang.func": "Func func",
    "tdsl.lang.reference": "reference",
    "tdsl.scheduling": "Schedule combinator load_schedule",
    "tdsl.api": "Kernel build",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}
_DTYPES = "bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64"
_HOME.update(dict.fromkeys(_DTYPES.split(), "tdsl.dtypes"))
_PACKAGES = ("autotune", "schedules")

__all__ = sorted(_HOME)  # noqa: PLE0605 - the table above is the one list of public names


# Loaded at once: as soon as anything imports the submodule, the name would stand for the module.
from tdsl.target import target as target  # noqa: E402


def __getattr__(name: str) -> object:
    if name in _PACKAGES:
        return import_module(f"tdsl.{name}")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'tdsl' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_PACKAGES})
