"""How many CPUs this process may use: its affinity, and the quota of its control groups."""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import floor
from pathlib import Path

from tdsl.runtime.errors import ArgumentValueError

MOST_THREADS = 1024
_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def default_num_threads() -> int:
    """`TDSL_NUM_THREADS`, or all CPUs that the process may use.

    Raises:
        ArgumentValueError: the variable is not a number in 1 .. 1024.
    """
    text = os.environ.get("TDSL_NUM_THREADS", "").strip()
    if not text:
        return min(usable_cpus(), MOST_THREADS)
    if not text.isdecimal() or not 1 <= int(text) <= MOST_THREADS:
        raise ArgumentValueError(
            f"TDSL_NUM_THREADS is {text!r}, not a number in 1 .. {MOST_THREADS}"
        )
    return int(text)


def usable_cpus() -> int:
    """The CPUs that this process may use; a quota of 2.5 CPUs counts as 2."""
    cpus = len(os.sched_getaffinity(0))
    quota = cgroup_quota()
    return cpus if quota is None else max(1, min(cpus, floor(quota)))


def cgroup_quota(root: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> float | None:
    """The CPUs that control groups (v1 or v2) grant this process; None without a limit.

    Args:
        root: where control groups are mounted.
        membership: the file that names the groups of this process.
    """
    quotas = [
        quota
        for directory in _group_directories(root, membership)
        for quota in (_quota_v2(directory), _quota_v1(directory))
        if quota is not None
    ]
    return min(quotas, default=None)


def _group_directories(root: Path, membership: Path) -> Iterator[Path]:
    """The directories of our groups and of those above, whose limits bind us too."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0":
            mounts = [root, root / "unified"]
        elif "cpu" in controllers.split(","):
            mounts = [root / controllers, root / "cpu"]
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for mount in mounts:
            for depth in range(len(parts) + 1):
                yield mount.joinpath(*parts[:depth])


def _quota_v2(directory: Path) -> float | None:
    try:
        quota, period = (directory / "cpu.max").read_text(encoding="utf-8").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(directory: Path) -> float | None:
    try:
        quota = int((directory / "cpu.cfs_quota_us").read_text(encoding="utf-8"))
        period = int((directory / "cpu.cfs_period_us").read_text(encoding="utf-8"))
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
