"""Programs built for a device, from source or from the cache of binaries.

PoCL crashes on a damaged binary, so binaries come from tdsl's own cache, which verifies what it
reads. The build is only half of the compilation there: each kernel is compiled when it is first
enqueued.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

from tdsl.cache import content_key, default_cache
from tdsl.errors import InternalError
from tdsl.runtime.devices.device import Device, pyopencl
from tdsl.target import host


def build_program(device: Device, source: str, name: str) -> Any:
    """A program with all its kernels, ready to be used on a device.

    Raises:
        InternalError: the device's compiler refuses the source.
    """
    cl = pyopencl()
    device.check_process()
    options = build_options(device)
    key = _key(device, source, options)
    cache = default_cache()
    entry = cache.load(key)
    if entry is not None:
        with contextlib.suppress(cl.Error):  # a driver that no longer takes it: build anew
            program = cl.Program(device.context, [device.handle], [entry.code])
            return program.build(options=options, devices=[device.handle], cache_dir=False)
    program = cl.Program(device.context, source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cl.CompilerWarning)
            program.build(options=options, devices=[device.handle], cache_dir=False)
    except cl.Error as error:
        numbered = "\n".join(f"{n:4} {line}" for n, line in enumerate(source.splitlines(), 1))
        raise InternalError(
            f"bug in tdsl: {device.facts.name} refuses the source of {name}: {error}\n{numbered}"
        ) from error
    binaries = program.get_info(cl.program_info.BINARIES)
    if binaries and binaries[0]:
        cache.store(key, bytes(binaries[0]), {"kernel": name, "device": device.facts.name})
    return program


def build_options(device: Device) -> list[str]:
    """Options of the compiler: exact arithmetic, no warnings."""
    options = ["-w"]
    if device.facts.rounded_division:
        options.append("-cl-fp32-correctly-rounded-divide-sqrt")
    return options


def _key(device: Device, source: str, options: list[str]) -> str:
    facts = device.facts
    here = host()
    return content_key(
        "opencl binary",
        facts.platform,
        facts.version,
        facts.name,
        facts.driver,
        here.triple,
        repr(here.features),
        repr(options),
        source,
    )
