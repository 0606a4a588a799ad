"""The exact processor of this machine, as LLVM names it."""

from __future__ import annotations

from functools import lru_cache

from llvmlite import binding

from tdsl.target import Target


@lru_cache(maxsize=1)
def host_cpu() -> tuple[str, str]:
    """LLVM's name of this processor and its feature string."""
    return binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()


def cpu_of(target: Target) -> tuple[str, str]:
    """Processor name and feature string to compile for."""
    return host_cpu() if target.is_native else (target.cpu, "")
