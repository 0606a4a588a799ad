r"""Compiled objects on disk, so that the second process does not compile what the first one did.

An entry is one file, named by its key::

    tdsl-object-1 <sha256 of the file's name and all that follows>\n
    <length of the metadata, 8 bytes little-endian><metadata, JSON><object code>

Loading an object runs code, so nothing is read from, or written to, a directory that somebody else
owns or may write. A process that cannot use the directory works without a cache: a cache never
makes a build fail.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import platformdirs

from tdsl import cache_total
from tdsl.errors import InternalError, warn_user

_MAGIC = b"tdsl-object-1 "
_SUFFIX = ".tdslobj"
_KEY = re.compile(r"[0-9a-f]{16,128}\Z")
_ABANDONED_SECONDS = 3600  # a temporary file this old belongs to a process that died
_KEPT_AFTER_EVICTION = 0.8  # of the limit, so that not every store evicts


class CacheWarning(RuntimeWarning):
    """The cache directory cannot be used; builds work, but are not kept."""


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """An object and what was stored with it."""

    code: bytes
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What the directory holds, and what this process did.

    Attributes:
        directory: where the entries are; None for a cache that is switched off.
        entries: how many.
        bytes: their size on disk.
        max_bytes: the size above which the least recently used ones go.
        hits, misses, stores: of this process.
    """

    directory: Path | None
    entries: int
    bytes: int
    max_bytes: int
    hits: int
    misses: int
    stores: int

    def __str__(self) -> str:
        if self.directory is None:
            return "switched off (TDSL_CACHE_DIR is empty)"
        used, most = self.bytes / (1 << 20), self.max_bytes >> 20
        return f"{self.directory}: {self.entries} entries, {used:.1f} of {most} MiB"


def content_key(*parts: str | bytes) -> str:
    """A key of everything that an object depends on: the order and the borders of parts count.

    >>> content_key("ab", "c") == content_key("a", "bc")
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


@lru_cache(maxsize=8)
def source_stamp(*folders: str) -> str:
    """Sizes and times of tdsl's own source files in folders: an edited compiler keys anew."""
    root = Path(__file__).parent
    stamp = []
    for folder in folders:
        with os.scandir(root / folder) as files:
            for file in files:
                if file.name.endswith(".py"):
                    status = file.stat()
                    stamp.append((folder, file.name, status.st_size, status.st_mtime_ns))
    return repr(sorted(stamp))


def cache_directory() -> Path | None:
    """`TDSL_CACHE_DIR`, or tdsl's place among the user's caches; None where it is set but empty."""
    value = os.environ.get("TDSL_CACHE_DIR")
    if value is None:
        return Path(platformdirs.user_cache_path("tdsl")) / "objects"
    if not value:
        return None
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        warn_user(
            f"tdsl works without its object cache: TDSL_CACHE_DIR is {value!r}: {error}",
            CacheWarning,
        )
        return None


class ObjectCache:
    """A directory of objects by key. Any number of processes may share it."""

    def __init__(self, directory: Path | None, *, max_bytes: int = 1 << 29) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._warned = False
        self._hits = self._misses = self._stores = 0

    def load(self, key: str) -> CacheEntry | None:
        """The entry of a key; None where there is none, or where its bytes are damaged."""
        name = _file_name(key)
        with self._open(create=False) as directory:
            entry = None if directory is None else _read(directory, name)
        if entry is None:
            self._misses += 1
        else:
            self._hits += 1
        return entry

    def store(self, key: str, code: bytes, metadata: Mapping[str, Any]) -> None:
        """Keep an object; metadata is anything that JSON holds. A full disk is not an error."""
        name = _file_name(key)
        data = _encode(name, code, metadata)
        if len(data) > self._max_bytes:
            return
        with self._open(create=True) as directory:
            if directory is None:
                return
            try:
                with cache_total.counted(directory, len(data)):
                    _write_atomically(directory, name, data)
                self._stores += 1
                self._make_room(directory, name)
            except OSError as error:
                self._warn(f"it cannot be written: {error.strerror}")

    def clear(self) -> int:
        """Remove all entries; return how many there were."""
        with self._open(create=False) as directory:
            if directory is None:
                return 0
            entries, abandoned = _files(directory)
            removed = sum(_remove(directory, file.name) for file in entries)
            for name in (*(file.name for file in abandoned), cache_total.NAME):
                _remove(directory, name)
        return removed

    def stats(self) -> CacheStats:
        """Count the entries and their bytes."""
        with self._open(create=False) as directory:
            files = [] if directory is None else _files(directory)[0]
        return CacheStats(
            self._directory,
            len(files),
            sum(file.size for file in files),
            self._max_bytes,
            self._hits,
            self._misses,
            self._stores,
        )

    def problem(self) -> str | None:
        """Why nothing is kept; None where all is well. Makes the directory if there is none."""
        if self._directory is None:
            return "it is switched off (TDSL_CACHE_DIR is empty)"
        found = self._try_to_open(create=True)
        if not isinstance(found, int):
            return f"{self._directory}: {found}"
        os.close(found)
        if not os.access(self._directory, os.W_OK | os.X_OK):
            return f"{self._directory}: it cannot be written"
        return None

    @contextlib.contextmanager
    def _open(self, *, create: bool) -> Iterator[int | None]:
        """A descriptor of the directory, if it is ours alone.

        Names are resolved against it: nobody can exchange the directory after the check.
        """
        descriptor = self._open_directory(create)
        try:
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _open_directory(self, create: bool) -> int | None:
        found = self._try_to_open(create)
        if isinstance(found, str):
            self._warn(found)
            return None
        return found

    def _try_to_open(self, create: bool) -> int | str | None:
        """A descriptor of the directory, None where there is none, or what is wrong with it."""
        if self._directory is None:
            return None
        try:
            if create:
                self._directory.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    self._directory.mkdir(mode=0o700)
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return "it cannot be made" if create else None
        except OSError as error:
            return f"it cannot be opened: {error.strerror}"
        problem = _trust_problem(os.fstat(descriptor))
        if problem is not None:
            os.close(descriptor)
            return f"it is not safe to load code from: {problem}"
        return descriptor

    def _warn(self, problem: str) -> None:
        if self._warned:
            return
        self._warned = True
        warn_user(
            f"tdsl works without its object cache in {self._directory}: {problem} "
            "(TDSL_CACHE_DIR=DIR names another place; empty, it switches the cache off)",
            CacheWarning,
        )

    def _make_room(self, directory: int, stored: str) -> None:
        """Remove the least recently used entries once the limit is passed; never the one stored."""
        if self._has_room(directory):
            return
        with cache_total.listing(directory) as listing:
            if listing is None or self._has_room(directory):
                return  # another process sees to it, or just did
            entries, temporary = _files(directory)
            total = sum(file.size for file in entries)
            if total > self._max_bytes:
                for file in sorted(entries, key=lambda file: file.used):
                    if total <= self._max_bytes * _KEPT_AFTER_EVICTION:
                        break
                    if file.name != stored:
                        total -= file.size
                        _remove(directory, file.name)
            for file in temporary:
                if file.used < time.time() - _ABANDONED_SECONDS:
                    _remove(directory, file.name)
            listing.found(total)

    def _has_room(self, directory: int) -> bool:
        total = cache_total.total(directory)
        return total is not None and total <= self._max_bytes


_caches: dict[Path | None, ObjectCache] = {}


def default_cache() -> ObjectCache:
    """The cache in `cache_directory()`, one per directory and process."""
    directory = cache_directory()
    if directory not in _caches:
        _caches[directory] = ObjectCache(directory)
    return _caches[directory]


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    size: int
    used: float


def _file_name(key: str) -> str:
    if not _KEY.match(key):
        raise InternalError(f"{key!r} is no cache key: lower-case hex digits are")
    return key + _SUFFIX


def _trust_problem(status: os.stat_result) -> str | None:
    """Why code in a file or directory may not be ours; None where it is."""
    if status.st_uid != os.geteuid():
        return f"it belongs to user {status.st_uid}, not to {os.geteuid()}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others may write it (mode {stat.S_IMODE(status.st_mode):04o})"
    return None


def _digest(name: str, body: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + body).hexdigest().encode()


def _encode(name: str, code: bytes, metadata: Mapping[str, Any]) -> bytes:
    text = json.dumps(metadata, sort_keys=True).encode()
    body = len(text).to_bytes(8, "little") + text + code
    return _MAGIC + _digest(name, body) + b"\n" + body


def _decode(name: str, data: bytes) -> CacheEntry | None:
    head, newline, body = data.partition(b"\n")
    if not newline or head != _MAGIC + _digest(name, body):
        return None
    length = int.from_bytes(body[:8], "little")
    return CacheEntry(body[8 + length :], json.loads(body[8 : 8 + length]))


def _read(directory: int, name: str) -> CacheEntry | None:
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(name, flags, dir_fd=directory)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or _trust_problem(status) is not None:
            return None
        try:
            entry = _decode(name, file.read())
        except OSError:
            return None
        if entry is not None:
            with contextlib.suppress(OSError):
                os.utime(descriptor)  # the time of use, by which eviction sorts
    if entry is None:
        _remove(directory, name)
    return entry


def _write_atomically(directory: int, name: str, data: bytes) -> None:
    temporary = f".{name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, mode=0o600, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        _remove(directory, temporary)
        raise


def _remove(directory: int, name: str) -> bool:
    """Remove a file; another process may have been quicker."""
    try:
        os.unlink(name, dir_fd=directory)
    except OSError:
        return False
    return True


def _files(directory: int) -> tuple[list[_File], list[_File]]:
    """The entries, and the files that are being written or that a dead process left."""
    found, temporary = list[_File](), list[_File]()
    with os.scandir(directory) as files:
        for file in files:
            kind = found if file.name.endswith(_SUFFIX) else temporary
            if kind is temporary and not file.name.endswith(".tmp"):
                continue
            try:
                status = file.stat(follow_symlinks=False)
            except FileNotFoundError:  # another process was quicker
                continue
            kind.append(_File(file.name, status.st_size, status.st_mtime))
    return found, temporary
