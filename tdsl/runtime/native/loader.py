"""Link object code into this process, and keep it there as long as somebody may run it.

One JIT session serves the whole process. The pool and the allocator are linked into it once, at the
first use; every kernel gets a library of its own, which sees their symbols, those passed as
`imports`, and those of the process itself (libc, libm).
"""

from __future__ import annotations

import ctypes
import itertools
import os
import platform
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llvmlite import binding

from tdsl.cache import content_key, default_cache
from tdsl.ir import foreign
from tdsl.runtime.cpus import default_num_threads
from tdsl.runtime.errors import LoadError
from tdsl.runtime.native.compiler import compile_ir, llvm_version
from tdsl.runtime.native.elf import missing_symbols

ARCHITECTURES = ("x86_64", "aarch64")

# The symbols that kernels may import.
KERNEL_SYMBOLS = (
    "tdsl_parallel_for",
    "tdsl_alloc",
    "tdsl_free",
    "tdsl_num_threads",
    "__extendhfsf2",
    "__truncsfhf2",
    "__truncdfhf2",
    "__truncsfbf2",
    "__truncdfbf2",
)
_RUNTIME_SYMBOLS = (
    *KERNEL_SYMBOLS,
    "tdsl_set_num_threads",
    "tdsl_pool_forget_threads",
    "tdsl_pool_sleepers",
    "tdsl_pool_started",
    "tdsl_alloc_acquire",
    "tdsl_alloc_release",
    "tdsl_alloc_kept",
    "tdsl_alloc_set_limit",
    "tdsl_alloc_trim",
    "tdsl_repeat",
    "tdsl_numpy",
    "tdsl_numpy_malloc",
    "tdsl_numpy_calloc",
    "tdsl_numpy_realloc",
    "tdsl_numpy_free",
    "tdsl_numpy_empty",
)

if not sys.platform.startswith("linux") or platform.machine() not in ARCHITECTURES:
    raise ImportError(
        f"tdsl runs kernels on Linux, x86-64 or aarch64; this is {sys.platform} on "
        f"{platform.machine()}, for which the thread pool knows no futex system call"
    )

# Freed temporaries and outputs stay for later calls, up to an eighth of the memory or this much.
_MOST_KEPT = 1 << 30

_lock = threading.RLock()
_serial = itertools.count()


class LoadedObject:
    """Code that is linked into this process; it is unloaded when this holder is collected.

    `holder["symbol"]` is the address of an exported symbol.
    """

    __slots__ = ("_tracker", "addresses")

    def __init__(self, tracker: Any, addresses: Mapping[str, int]) -> None:
        self._tracker = tracker
        self.addresses = dict(addresses)

    def __getitem__(self, symbol: str) -> int:
        return self.addresses[symbol]


class _Session:
    """The process's JIT session, with the native runtime linked in."""

    def __init__(self) -> None:
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        self._jit = binding.create_lljit_compiler(suppress_errors=True)
        tracker = self._link(runtime_object(), _RUNTIME_SYMBOLS, {})
        self.runtime: dict[str, int] = {name: tracker[name] for name in _RUNTIME_SYMBOLS}
        self.imports = {name: self.runtime[name] for name in KERNEL_SYMBOLS}
        # Worker threads live in this code until the process ends, so that neither the code nor the
        # session may be torn down while the interpreter exits.
        self._forever = (_keep_for_ever(tracker), _keep_for_ever(self._jit))
        self._configure()

    def _configure(self) -> None:
        """Size the pool and the allocator, and make both survive a fork."""
        self._call("tdsl_set_num_threads", ctypes.c_int32(default_num_threads()))
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        self._call("tdsl_alloc_set_limit", ctypes.c_int64(min(memory // 8, _MOST_KEPT)))
        os.register_at_fork(
            before=lambda: self._call("tdsl_alloc_acquire"),
            after_in_parent=lambda: self._call("tdsl_alloc_release"),
            after_in_child=self._restart,
        )

    def _restart(self) -> None:
        """In a forked child: no other thread is left, neither to run loops nor to hold locks."""
        self._call("tdsl_alloc_release")
        self._call("tdsl_pool_forget_threads")
        global _lock  # noqa: PLW0603 - a thread that is gone may have held it
        _lock = threading.RLock()

    def _call(self, name: str, *arguments: Any) -> None:
        # PYFUNCTYPE keeps the GIL: fork hooks must not let another thread run in between
        ctypes.PYFUNCTYPE(None, *map(type, arguments))(self.runtime[name])(*arguments)

    def _link(self, code: bytes, exports: Sequence[str], imports: Mapping[str, int]) -> Any:
        library = binding.JITLibraryBuilder().add_object_img(code).add_current_process()
        for symbol in exports:
            library.export_symbol(symbol)
        for symbol, address in imports.items():
            library.import_symbol(symbol, address)
        return library.link(self._jit, f"tdsl{next(_serial)}")

    def load(self, code: bytes, exports: Sequence[str], imports: Mapping[str, int]) -> LoadedObject:
        known = {**self.imports, **foreign.addresses(), **imports}
        try:
            tracker = self._link(code, exports, known)
        except RuntimeError as error:
            raise _load_error(code, exports, known, error) from error
        return LoadedObject(tracker, {symbol: tracker[symbol] for symbol in exports})


def _load_error(
    code: bytes, exports: Sequence[str], known: Mapping[str, int], error: Exception
) -> LoadError:
    """What is wrong with an object that LLVM refuses to link."""
    try:
        missing = missing_symbols(code, known)
    except ValueError as problem:
        return LoadError(f"the object with {exports[0]} cannot be loaded: {problem}")
    if missing:
        return LoadError(
            f"the object with {exports[0]} refers to {', '.join(missing)}, which nothing defines",
            hint="load the library that exports an extern symbol first: "
            "ctypes.CDLL(path, ctypes.RTLD_GLOBAL)",
        )
    return LoadError(f"the object with {exports[0]} does not link: {error}")


def _keep_for_ever(reference: Any) -> Any:
    """Stop llvmlite from disposing of an LLVM object when Python exits."""
    reference._owned = True  # noqa: SLF001 - llvmlite's own switch for "disposed of elsewhere"
    return reference


def _runtime_text() -> str:
    here = Path(__file__).parent
    names = (platform.machine(), "alloc", "pool", "float16", "numpy_memory")
    return "\n".join((here / f"{name}.ll").read_text(encoding="utf-8") for name in names)


def runtime_object() -> bytes:
    """The native runtime as an ELF object, for programs that link kernels without Python."""
    text = _runtime_text()
    key = content_key("native runtime", text, llvm_version(), binding.get_process_triple())
    cache = default_cache()
    entry = cache.load(key)
    if entry is not None:
        return entry.code
    code = compile_ir(text)
    cache.store(key, code, {"what": "native runtime"})
    return code


_session: _Session | None = None


def _the_session() -> _Session:
    global _session  # noqa: PLW0603 - one per process, made at the first use
    with _lock:
        if _session is None:
            _session = _Session()
        return _session


def load_object(
    code: bytes,
    symbol: str,
    *,
    more_symbols: Sequence[str] = (),
    imports: Mapping[str, int] | None = None,
) -> LoadedObject:
    """Link a relocatable object into this process.

    Args:
        code: the bytes of an ELF object for this machine. They are trusted: loading runs code.
        symbol: the symbol to export; its address is ``result[symbol]``.
        more_symbols: further symbols to export.
        imports: addresses for symbols that neither the runtime nor the process defines.

    Returns:
        A holder that keeps the code alive.

    Raises:
        LoadError: a symbol is missing, or the bytes are no object.
    """
    session = _the_session()
    with _lock:
        return session.load(code, (symbol, *more_symbols), imports or {})


def runtime_symbol(name: str) -> int:
    """The address of a function of the native runtime."""
    return _the_session().runtime[name]
