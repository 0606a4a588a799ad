"""Which machine and which commit a run's figures belong to."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.peers import REPOSITORY

DEFAULT_CACHE = 32 << 20


def describe() -> dict[str, Any]:
    """CPU, core count, memory, system and Python."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": _cpu_name(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(pages / 2**30, 1),
        "last_level_cache_mib": last_level_cache() >> 20,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def last_level_cache() -> int:
    """Bytes of the largest cache that a core sees."""
    sizes = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    found = [int(text[:-1]) << 10 for text in (p.read_text().strip() for p in sizes) if text]
    return max(found, default=DEFAULT_CACHE)


def commit() -> str:
    """The checked-out commit, ``-dirty`` if files differ from it, ``unknown`` outside git."""
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo").read_text()
    fields: dict[str, str] = {}
    for line in info.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    model = fields.get("model name") or platform.machine()
    details = [f"{k} {fields[k]}" for k in ("cpu family", "model") if k in fields]
    return f"{model} ({', '.join(details)})" if details else model
