"""How many bytes a cache directory holds, as all processes that share it count them together.

Listing a directory of a hundred thousand entries takes a second, so it is done once a day and
where room is short. In between the count is the *length* of the file `.total`, in units of 256
bytes: a store appends to it, which no two processes can do over each other. The first eight
bytes are the time at which the directory was listed; a file that nobody listed for has zeros.

A store counts before it writes, and again if the file was exchanged meanwhile. So a process that
dies in between leaves the count too high, never too low, and the next listing puts it right.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator

NAME = ".total"
_UNIT = 256  # of bytes stored, for each byte of the file
_TIME_BYTES = 8
_TRUSTED_SECONDS = 24 * 3600  # whoever puts files there without counting is found out by then


@contextlib.contextmanager
def counted(directory: int, added: int) -> Iterator[None]:
    """Count what is stored inside, in a directory given by descriptor.

    Raises:
        OSError: the directory cannot be written.
    """
    units = bytes(-(-added // _UNIT))
    with _opened(directory) as file:
        os.write(file, units)
        yield
        exchanged = os.fstat(file).st_nlink == 0
    if exchanged:
        with _opened(directory) as file:
            os.write(file, units)


def total(directory: int) -> int | None:
    """The bytes that the directory holds, or a few more; None in doubt: list it."""
    try:
        with _opened(directory) as file:
            listed = int.from_bytes(os.pread(file, _TIME_BYTES, 0), "little")
            length = os.fstat(file).st_size
    except OSError:
        return None
    if 0 <= time.time() - listed < _TRUSTED_SECONDS:
        return (length - _TIME_BYTES) * _UNIT
    return None


class Listing:
    """A look at what there is. One process takes it at a time, while others go on storing."""

    def __init__(self, directory: int) -> None:
        self._directory = directory
        self._length_before = _length(directory)

    def found(self, size: int) -> None:
        """Make `size`, and what others counted meanwhile, the directory's total."""
        begun = time.time()
        temporary = f"{NAME}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(temporary, flags, mode=0o600, dir_fd=self._directory)
        try:
            os.write(file, int(begun).to_bytes(_TIME_BYTES, "little"))
            meanwhile = max(0, _length(self._directory) - self._length_before)
            os.ftruncate(file, _TIME_BYTES + -(-size // _UNIT) + meanwhile)  # takes no room
            os.rename(temporary, NAME, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=self._directory)
            raise
        finally:
            os.close(file)


@contextlib.contextmanager
def listing(directory: int) -> Iterator[Listing | None]:
    """A listing of the directory; None where another process is at it already."""
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield None
        return
    except OSError:  # a file system without locks: two listings cost time, no more
        yield Listing(directory)
        return
    try:
        yield Listing(directory)
    finally:
        fcntl.flock(directory, fcntl.LOCK_UN)


def _length(directory: int) -> int:
    try:
        return os.stat(NAME, dir_fd=directory, follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


@contextlib.contextmanager
def _opened(directory: int) -> Iterator[int]:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    file = os.open(NAME, flags, mode=0o600, dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(0, f"{NAME} in it is no file")
        yield file
    finally:
        os.close(file)
