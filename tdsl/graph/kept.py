"""Kernels of groups on disk, by what they compute: a second process schedules nothing.

The object cache finds machine code by the scheduled program, so that a schedule has to be made
first. Here an entry is found by the algorithm and by all that decides its schedule: the constants,
the target, and tdsl's own source. It holds the kernel and what packs its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tdsl import driver
from tdsl.cache import CacheEntry, content_key, default_cache, source_stamp
from tdsl.driver import Artifact, Bundle
from tdsl.errors import FormatError
from tdsl.ir.equal import fingerprint
from tdsl.lang.func import Func
from tdsl.runtime.kernel import Kernel
from tdsl.runtime.signature import Signature
from tdsl.scheduling import Schedule
from tdsl.target import Target, TargetKind, target as parse_target

_SCHEDULER = (
    "schedules", "schedules/rules", "schedules/rules/opencl", "scheduling",
    "scheduling/primitives", "analysis", "lang",
)  # fmt: skip


def kept_kernel(
    func: Func, constants: frozenset[str], target: Target | None, make: Callable[[], Schedule],
    missed: Callable[[], None] = lambda: None,
) -> Kernel:  # fmt: skip
    """The kernel of the schedule that `make` gives, which depends on the other arguments alone.

    `missed` is called where it has to be made.

    Raises:
        ScheduleError, LoweringError: there is no such kernel; `make` or its compilation says why.
    """
    machine = parse_target(target)
    if machine.kind is not TargetKind.LLVM:
        return driver.build(make(), target)
    driver.check_runs_here(machine)
    key = kernel_key(func, constants, machine)
    entry = default_cache().load(key)
    bundle = None if entry is None else _unpacked(entry, make, machine)
    if bundle is None:
        missed()
        schedule = make()
        bundle = driver.compile_bundle(schedule.program, machine)
        schedule.remembered.keep()
        default_cache().store(key, *_packed(bundle))
    return driver.link_bundle(bundle)


def kernel_key(func: Func, constants: frozenset[str], machine: Target) -> str:
    """The key of a kernel in the cache."""
    return content_key(
        "scheduled", fingerprint(func.program), *sorted(constants), "on", repr(machine),
        *driver.compiler_key(machine), source_stamp(*_SCHEDULER),
    )  # fmt: skip


def _packed(bundle: Bundle) -> tuple[bytes, dict[str, Any]]:
    artifacts = [("", bundle.artifact), *bundle.packers.items()]
    described = [
        {
            "argument": argument, "signature": one.signature.to_json(), "symbol": one.symbol,
            "accesses": list(one.accesses), "bytes": len(one.code),
        }
        for argument, one in artifacts
    ]  # fmt: skip
    return b"".join(one.code for _, one in artifacts), {"kernels": described}


def _unpacked(entry: CacheEntry, make: Callable[[], Schedule], machine: Target) -> Bundle | None:
    """What an entry holds; None where it is of another form."""
    found: dict[str, Artifact] = {}
    start = 0
    try:
        for item in entry.metadata["kernels"]:
            code = entry.code[start : start + int(item["bytes"])]
            start += len(code)
            found[item["argument"]] = Artifact(
                Signature.from_json(item["signature"]), item["symbol"], code,
                tuple(item["accesses"]), _sources(make, machine) if not found else {},
            )  # fmt: skip
        return Bundle(found.pop(""), found)
    except (KeyError, TypeError, FormatError):
        return None


def _sources(make: Callable[[], Schedule], machine: Target) -> Mapping[str, Callable[[], str]]:
    """The stages of a kernel as text, scheduled anew when one is asked for."""

    def stage(kind: str) -> Callable[[], str]:
        def text() -> str:
            return driver.compile_program(make().program, machine).sources[kind]()

        return text

    return {kind: stage(kind) for kind in ("ir", "lowered", "llvm", "asm")}
