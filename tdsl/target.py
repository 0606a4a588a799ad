"""What schedules and lowering may know of a machine: widths, registers, caches, cores.

Targets are data. Nothing here loads LLVM or OpenCL: the host is read from the kernel's own files,
and code generation fills in the exact processor name when it compiles.
"""

from __future__ import annotations

import difflib
import os
import platform
import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path

from tdsl.errors import TdslError


class TargetKind(Enum):
    """Which code generator serves a target."""

    LLVM = "llvm"
    OPENCL = "opencl"


class TargetError(TdslError, ValueError):
    """A target string that names nothing known."""


@dataclass(frozen=True, slots=True)
class Isa:
    """An instruction set level: what matters to a schedule.

    Attributes:
        arch: LLVM's architecture name, the first part of a triple.
        vector_bits: width of the widest vector that runs at full rate.
        vector_registers: how many of them there are.
        features: LLVM feature names that code generation relies on.
    """

    arch: str
    vector_bits: int
    vector_registers: int
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """A machine to compile for.

    Attributes:
        text: the string that names it, as given to `target`.
        kind: the code generator.
        cpu: LLVM's processor name, or "native" for this machine's; the device name for OpenCL.
        triple: LLVM's target triple.
        features: instruction sets that lowering and code generation may count on.
        vector_bits, vector_registers: the vector unit (512 and 32 for AVX-512).
        l1, l2, l3: data cache sizes in bytes; l1 and l2 are of one core.
        cores: hardware threads that this process may use.
    """

    text: str
    kind: TargetKind
    cpu: str
    triple: str
    features: tuple[str, ...]
    vector_bits: int
    vector_registers: int
    l1: int
    l2: int
    l3: int
    cores: int

    def lanes(self, bits: int) -> int:
        """How many elements of `bits` bits one vector register holds, at least 1."""
        return max(1, self.vector_bits // bits)

    def scales(self, bits: int, lanes: int) -> bool:
        """Whether `a * 2**b` of vectors of floats of `bits` bits is one instruction."""
        whole = lanes * bits == self.vector_bits == _SCALED_BITS
        return whole and bits in (32, 64) and "avx512f" in self.features

    @property
    def is_native(self) -> bool:
        """Whether code for this target is meant for this very machine."""
        return self.cpu == "native"

    def __str__(self) -> str:
        return self.text


_SCALED_BITS = 512
_V2 = ("sse4.2", "popcnt")
_V3 = (*_V2, "avx2", "fma", "f16c", "bmi2")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512dq", "avx512vl")

ISAS = {
    "x86-64-v2": Isa("x86_64", 128, 16, _V2),
    "x86-64-v3": Isa("x86_64", 256, 16, _V3),
    "x86-64-v4": Isa("x86_64", 512, 32, _V4),
    "neon": Isa("aarch64", 128, 32, ("neon", "fma", "f16c")),
}

_KB = 1024
_MB = 1024 * _KB

_AMD = ("sse4a",)
_VNNI = ("avx512vnni",)
_ICE = (
    *_VNNI,
    "avx512vbmi",
    "avx512vbmi2",
    "avx512bitalg",
    "avx512vpopcntdq",
    "avx512ifma",
    "gfni",
)
_SAPPHIRE = (*_ICE, "avx512bf16", "avx512fp16", "avxvnni", "amx-tile")

# cpu name -> (instruction set, l1, l2, l3, what it has beyond the set that compilers may use);
# the caches are those of one core and of its cluster
CPUS: dict[str, tuple[str, int, int, int, tuple[str, ...]]] = {
    "x86-64-v2": ("x86-64-v2", 32 * _KB, 256 * _KB, 8 * _MB, ()),
    "x86-64-v3": ("x86-64-v3", 32 * _KB, 256 * _KB, 8 * _MB, ()),
    "x86-64-v4": ("x86-64-v4", 32 * _KB, 1 * _MB, 16 * _MB, ()),
    "nehalem": ("x86-64-v2", 32 * _KB, 256 * _KB, 8 * _MB, ()),
    "haswell": ("x86-64-v3", 32 * _KB, 256 * _KB, 8 * _MB, ()),
    "broadwell": ("x86-64-v3", 32 * _KB, 256 * _KB, 16 * _MB, ()),
    "skylake": ("x86-64-v3", 32 * _KB, 256 * _KB, 8 * _MB, ()),
    "alderlake": ("x86-64-v3", 48 * _KB, 1280 * _KB, 24 * _MB, ("avxvnni", "gfni")),
    "skylake-avx512": ("x86-64-v4", 32 * _KB, 1 * _MB, 16 * _MB, ()),
    "cascadelake": ("x86-64-v4", 32 * _KB, 1 * _MB, 32 * _MB, _VNNI),
    "icelake-server": ("x86-64-v4", 48 * _KB, 1280 * _KB, 32 * _MB, _ICE),
    "sapphirerapids": ("x86-64-v4", 48 * _KB, 2 * _MB, 64 * _MB, _SAPPHIRE),
    "graniterapids": ("x86-64-v4", 48 * _KB, 2 * _MB, 128 * _MB, _SAPPHIRE),
    "znver1": ("x86-64-v3", 32 * _KB, 512 * _KB, 8 * _MB, _AMD),
    "znver2": ("x86-64-v3", 32 * _KB, 512 * _KB, 16 * _MB, _AMD),
    "znver3": ("x86-64-v3", 32 * _KB, 512 * _KB, 32 * _MB, _AMD),
    "znver4": ("x86-64-v4", 32 * _KB, 1 * _MB, 32 * _MB, (*_AMD, *_ICE, "avx512bf16")),
    "znver5": ("x86-64-v4", 48 * _KB, 1 * _MB, 32 * _MB, (*_AMD, *_ICE, "avx512bf16", "avxvnni")),
    "neoverse-n1": ("neon", 64 * _KB, 1 * _MB, 32 * _MB, ()),
    "neoverse-n2": ("neon", 64 * _KB, 1 * _MB, 32 * _MB, ("sve",)),
    "neoverse-v1": ("neon", 64 * _KB, 1 * _MB, 32 * _MB, ("sve",)),
    "neoverse-v2": ("neon", 64 * _KB, 1 * _MB, 64 * _MB, ("sve",)),
    "apple-m1": ("neon", 128 * _KB, 12 * _MB, 16 * _MB, ()),
    "apple-m2": ("neon", 128 * _KB, 16 * _MB, 16 * _MB, ()),
}

# words of /proc/cpuinfo that together make an x86 level, best first
_X86_LEVELS = (
    ("x86-64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    ("x86-64-v3", {"avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"}),
    ("x86-64-v2", {"sse4_1", "sse4_2", "ssse3", "popcnt"}),
)
# words of /proc/cpuinfo -> features beyond the level
_EXTRAS = {
    "avx512_bf16": "avx512bf16",
    "avx512_vnni": "avx512vnni",
    "avx512_fp16": "avx512fp16",
    "avx512vbmi": "avx512vbmi",
    "avx512_vbmi2": "avx512vbmi2",
    "avx512_bitalg": "avx512bitalg",
    "avx512_vpopcntdq": "avx512vpopcntdq",
    "avx512ifma": "avx512ifma",
    "gfni": "gfni",
    "sse4a": "sse4a",
    "avx_vnni": "avxvnni",
    "amx_tile": "amx-tile",
    "sve": "sve",
}


def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    found = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    return frozenset(found.group(1).split()) if found else frozenset()


def _cache_sizes() -> dict[int, int]:
    sizes: dict[int, int] = {}
    for entry in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            if (entry / "type").read_text().strip() == "Instruction":
                continue
            level = int((entry / "level").read_text())
            size = (entry / "size").read_text().strip()
        except (OSError, ValueError):
            continue
        number = re.fullmatch(r"(\d+)([KM]?)", size)
        if number:
            sizes[level] = int(number[1]) * {"": 1, "K": _KB, "M": _MB}[number[2]]
    return sizes


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def host() -> Target:
    """This machine's processor, from /proc/cpuinfo and /sys."""
    arch = platform.machine()
    flags = _cpu_flags()
    extras = tuple(feature for word, feature in _EXTRAS.items() if word in flags)
    if arch in ("aarch64", "arm64"):
        isa = ISAS["neon"]
    else:
        name = next((name for name, words in _X86_LEVELS if words <= flags), "x86-64-v2")
        isa = ISAS[name]
    caches = _cache_sizes()
    return Target(
        text="llvm",
        kind=TargetKind.LLVM,
        cpu="native",
        triple=f"{isa.arch}-unknown-linux-gnu",
        features=(*isa.features, *extras),
        vector_bits=isa.vector_bits,
        vector_registers=isa.vector_registers,
        l1=caches.get(1, 32 * _KB),
        l2=caches.get(2, 512 * _KB),
        l3=caches.get(3, 8 * _MB),
        cores=_cores(),
    )


def _named_cpu(text: str, cpu: str) -> Target:
    if cpu == "native":
        return host()
    if cpu not in CPUS:
        close = difflib.get_close_matches(cpu, CPUS, n=3)
        hint = f"close: {', '.join(close)}" if close else f"one of {', '.join(CPUS)}"
        raise TargetError(f"unknown processor {cpu!r} in target {text!r}", hint=hint)
    level, l1, l2, l3, extras = CPUS[cpu]
    isa = ISAS[level]
    return Target(
        text=f"llvm -mcpu={cpu}",
        kind=TargetKind.LLVM,
        cpu=cpu,
        triple=f"{isa.arch}-unknown-linux-gnu",
        features=(*isa.features, *extras),
        vector_bits=isa.vector_bits,
        vector_registers=isa.vector_registers,
        l1=l1,
        l2=l2,
        l3=l3,
        cores=_cores(),
    )


def _opencl(text: str, device: str) -> Target:
    return Target(
        text=text,
        kind=TargetKind.OPENCL,
        cpu=device,
        triple="",
        features=(),
        vector_bits=128,
        vector_registers=64,
        l1=32 * _KB,
        l2=1 * _MB,
        l3=0,
        cores=_cores(),
    )


_FORMS = "one of llvm, llvm -mcpu=NAME, opencl, opencl:DEVICE"


def target(text: str | Target | None = None) -> Target:
    """The target that a string names: "llvm", "llvm -mcpu=NAME", "opencl" or "opencl:DEVICE".

    None is this machine's processor.

    >>> target("llvm -mcpu=znver4").vector_bits
    512
    >>> target("llvm -mcpu=haswell").lanes(32)
    8

    Raises:
        TargetError: the string names no known target; close names are proposed.
    """
    if isinstance(text, Target):
        return text
    if text is None:
        return host()
    if not isinstance(text, str):
        raise TargetError(f"a target is a string or a td.Target, got {text!r}", hint=_FORMS)
    words = text.split()
    match words:
        case ["llvm"]:
            return host()
        case ["llvm", option] if option.startswith("-mcpu="):
            return _named_cpu(text, option.removeprefix("-mcpu="))
        case [name] if name == "opencl" or name.startswith("opencl:"):
            return _opencl(text, name.partition(":")[2])
        case _:
            close = difflib.get_close_matches(text, ["llvm", "opencl"], n=1)
            if text in CPUS:
                close = [f"llvm -mcpu={text}"]
            hint = f"did you mean {close[0]!r}?" if close else _FORMS
            raise TargetError(f"unknown target {text!r}", hint=hint)
