"""The object cache: what comes out is what went in, or nothing."""

import fcntl
import os
import shutil
import stat
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tdsl import cache as cache_module
from tdsl.cache import CacheWarning, ObjectCache, content_key, default_cache
from tdsl.errors import InternalError

KEY = content_key("some object")
CODE = bytes(range(256)) * 40


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "deep" / "objects"


@pytest.fixture
def filled(directory):
    cache = ObjectCache(directory)
    cache.store(KEY, CODE, {"signature": "f(a)", "count": 3})
    return cache


def entries_of(directory):
    return list(directory.glob("*.tdslobj"))


def only_file(directory):
    (path,) = entries_of(directory)
    return path


def test_what_is_stored_is_loaded(filled, directory):
    entry = filled.load(KEY)
    assert entry.code == CODE
    assert entry.metadata == {"signature": "f(a)", "count": 3}
    assert ObjectCache(directory).load(KEY) == entry
    assert filled.load(content_key("another")) is None


@settings(deadline=None)
@given(st.binary(max_size=200), st.dictionaries(st.text(max_size=5), st.integers(), max_size=3))
def test_any_bytes_and_metadata(tmp_path_factory, code, metadata):
    cache = ObjectCache(tmp_path_factory.getbasetemp() / "any")
    key = content_key(code, repr(metadata))
    cache.store(key, code, metadata)
    entry = cache.load(key)
    assert (entry.code, entry.metadata) == (code, metadata)


def test_the_directory_is_private(filled, directory):
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(only_file(directory).stat().st_mode) == 0o600


@pytest.mark.parametrize("mask", [0, 0o077, 0o777])
def test_the_umask_does_not_matter(directory, mask):
    before = os.umask(mask & 0o077)
    try:
        ObjectCache(directory).store(KEY, CODE, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


@pytest.mark.parametrize("position", [0, 5, 20, 78, 79, 85, 100, 500, -1])
def test_a_flipped_bit_is_a_miss_and_removes_the_file(filled, directory, position):
    path = only_file(directory)
    data = bytearray(path.read_bytes())
    data[position] ^= 4
    path.write_bytes(data)
    assert filled.load(KEY) is None
    assert not path.exists()


@pytest.mark.parametrize("length", [0, 1, 13, 14, 78, 79, 80, 90, 500])
def test_a_truncated_file_is_a_miss_and_is_removed(filled, directory, length):
    path = only_file(directory)
    path.write_bytes(path.read_bytes()[:length])
    assert filled.load(KEY) is None
    assert not path.exists()


def test_an_entry_under_another_entrys_name_is_a_miss(filled, directory):
    other = content_key("other")
    only_file(directory).rename(directory / f"{other}.tdslobj")
    assert filled.load(other) is None


def test_a_link_is_not_followed(filled, directory, tmp_path):
    path = only_file(directory)
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert filled.load(KEY) is None


def test_a_file_that_others_may_write_is_not_read(filled, directory):
    only_file(directory).chmod(0o622)
    assert filled.load(KEY) is None


def test_a_pipe_in_the_way_does_not_block(directory):
    cache = ObjectCache(directory)
    directory.mkdir(parents=True, mode=0o700)
    os.mkfifo(directory / f"{KEY}.tdslobj")
    assert cache.load(KEY) is None


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722, 0o1777])
def test_a_directory_that_others_may_write_is_not_used(directory, mode):
    directory.mkdir(parents=True)
    directory.chmod(mode)
    cache = ObjectCache(directory)
    with pytest.warns(CacheWarning, match="others may write it"):
        cache.store(KEY, CODE, {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the warning comes once
        cache.store(KEY, CODE, {})
        assert cache.load(KEY) is None
        assert cache.clear() == 0
        assert cache.stats().entries == 0
    assert list(directory.iterdir()) == []


def test_a_directory_of_somebody_else_is_not_used(filled, directory, monkeypatch):
    monkeypatch.setattr(cache_module.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.warns(CacheWarning, match="it belongs to user"):
        assert ObjectCache(directory).load(KEY) is None


def test_a_file_in_place_of_the_directory(directory):
    directory.parent.mkdir()
    directory.write_text("in the way")
    cache = ObjectCache(directory)
    with pytest.warns(CacheWarning, match="cannot be opened"):
        cache.store(KEY, CODE, {})
    assert cache.load(KEY) is None


@pytest.mark.parametrize("code", ["ENOSPC", "EROFS", "EDQUOT", "EACCES"])
def test_a_disk_that_takes_nothing(directory, monkeypatch, code):
    import errno

    cache = ObjectCache(directory)

    def refuse(*_arguments, **_keywords):
        raise OSError(getattr(errno, code), "no")

    monkeypatch.setattr(cache_module.os, "rename", refuse)
    with pytest.warns(CacheWarning, match="cannot be written"):
        cache.store(KEY, CODE, {})
    assert [path.name for path in directory.iterdir()] == [".total"]
    assert cache.load(KEY) is None


def test_a_cache_that_is_switched_off(monkeypatch):
    monkeypatch.setenv("TDSL_CACHE_DIR", "")
    cache = default_cache()
    cache.store(KEY, CODE, {})
    assert cache.load(KEY) is None
    assert cache.stats().directory is None


def test_a_directory_that_cannot_be_made_is_told(monkeypatch):
    with pytest.warns(CacheWarning, match="it cannot be made"):
        ObjectCache(Path("/proc/none")).store(KEY, CODE, {})
    monkeypatch.setenv("TDSL_CACHE_DIR", "~nobody-is-called-this/x")
    with pytest.warns(CacheWarning, match=r"TDSL_CACHE_DIR is '~nobody-is-called-this/x'"):
        assert default_cache().stats().directory is None


def test_the_environment_names_the_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("TDSL_CACHE_DIR", str(tmp_path / "here"))
    assert default_cache().stats().directory == tmp_path / "here"
    assert default_cache() is default_cache()
    monkeypatch.delenv("TDSL_CACHE_DIR")
    assert default_cache().stats().directory.parts[-2:] == ("tdsl", "objects")


def test_the_least_recently_used_entries_go_first(directory):
    cache = ObjectCache(directory, max_bytes=10_000)
    keys = [content_key(str(number)) for number in range(12)]
    for age, key in enumerate(keys[:8]):
        cache.store(key, bytes(1000), {})
        os.utime(directory / f"{key}.tdslobj", (age, age))
    assert cache.load(keys[0]) is not None  # used just now
    for key in keys[8:]:
        cache.store(key, bytes(1000), {})
    assert cache.stats().bytes <= 10_000
    assert cache.load(keys[0]) is not None
    assert cache.load(keys[1]) is None
    assert cache.load(keys[-1]) is not None


def test_an_object_larger_than_the_cache_is_not_stored(directory):
    cache = ObjectCache(directory, max_bytes=1000)
    cache.store(KEY, bytes(2000), {})
    assert cache.load(KEY) is None


def age(directory, seconds=25 * 3600):
    """Have the directory listed that long ago."""
    path = directory / ".total"
    listed = int(time.time()) - seconds
    path.write_bytes(listed.to_bytes(8, "little") + path.read_bytes()[8:])


def counted(directory):
    return (len((directory / ".total").read_bytes()) - 8) * 256


def held(directory):
    return sum(path.stat().st_size for path in entries_of(directory))


def test_the_directory_is_listed_by_the_first_process_alone(filled, directory, monkeypatch):
    def refuse(_directory):
        raise AssertionError("listed again")

    monkeypatch.setattr(cache_module, "_files", refuse)
    for number in range(3):
        ObjectCache(directory).store(content_key(str(number)), CODE, {})
    assert held(directory) <= counted(directory) < held(directory) + 4 * 256


@pytest.mark.parametrize("seconds", [25 * 3600, -3600, 10**9])
def test_what_came_without_being_counted_is_found_a_day_later(filled, directory, seconds):
    (directory / f"{content_key('by hand')}.tdslobj").write_bytes(bytes(20_000))
    ObjectCache(directory).store(content_key("one"), CODE, {})
    assert counted(directory) < held(directory)
    age(directory, seconds)
    ObjectCache(directory).store(content_key("two"), CODE, {})
    assert held(directory) <= counted(directory) < held(directory) + 4 * 256


@pytest.mark.parametrize("content", [b"", b"\0", b"\0" * 8, b"\xff" * 9, b"total: 12 bytes", None])
def test_a_damaged_total_is_counted_anew(filled, directory, content):
    path = directory / ".total"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    filled.store(content_key("next"), CODE, {})
    assert held(directory) <= counted(directory) < held(directory) + 4 * 256 + len(content or b"")


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_something_in_the_place_of_the_total(filled, directory, kind, tmp_path):
    path = directory / ".total"
    path.unlink()
    {"link": lambda: path.symlink_to(tmp_path / "x"), "folder": path.mkdir,
     "pipe": lambda: os.mkfifo(path)}[kind]()  # fmt: skip
    with pytest.warns(CacheWarning, match="cannot be written"):
        filled.store(content_key("next"), CODE, {})
    assert filled.load(KEY) is not None
    assert not (tmp_path / "x").exists()


def test_a_store_counts_again_where_the_total_was_exchanged_meanwhile(
    filled, directory, monkeypatch
):
    write = cache_module._write_atomically

    def slowly(*arguments):
        age(directory)
        monkeypatch.setattr(cache_module, "_write_atomically", write)
        ObjectCache(directory).store(content_key("quicker"), CODE, {})  # lists, and exchanges it
        write(*arguments)

    monkeypatch.setattr(cache_module, "_write_atomically", slowly)
    filled.store(content_key("slow"), CODE, {})
    assert len(entries_of(directory)) == 3
    assert counted(directory) >= held(directory)


def test_a_listing_by_another_process_is_not_waited_for(filled, directory):
    with filled._open(create=False) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        age(directory)
        filled.store(content_key("next"), CODE, {})
        assert filled.load(content_key("next")) is not None
    assert counted(directory) >= held(directory)


def test_abandoned_temporary_files_are_swept(directory, filled):
    old, new = directory / ".x.1.aa.tmp", directory / ".y.2.bb.tmp"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    age(directory)
    ObjectCache(directory).store(content_key("next"), CODE, {})
    assert not old.exists()
    assert new.exists()


def test_statistics_and_clearing(filled, directory):
    filled.load(KEY)
    filled.load(content_key("none"))
    stats = filled.stats()
    assert (stats.entries, stats.hits, stats.misses, stats.stores) == (1, 1, 1, 1)
    assert stats.bytes == only_file(directory).stat().st_size
    assert filled.clear() == 1
    assert list(directory.iterdir()) == []  # the total included
    assert filled.stats().entries == 0
    filled.store(KEY, CODE, {})
    assert filled.load(KEY) is not None


def test_a_directory_that_vanishes_is_made_again(filled, directory):
    shutil.rmtree(directory)
    assert filled.load(KEY) is None
    filled.store(KEY, CODE, {})
    assert filled.load(KEY) is not None


@pytest.mark.parametrize("key", ["", "short", "../../../../etc/passwd", "G" * 64, "a" * 64 + "\n"])
def test_a_key_is_hex_digits(filled, key):
    with pytest.raises(InternalError, match="no cache key"):
        filled.load(key)


def test_keys_tell_parts_apart():
    assert content_key("ab", "c") != content_key("a", "bc")
    assert content_key("a", "") != content_key("a")
    assert content_key(b"a") == content_key("a")


def start_python(code, *arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.strip()


def test_eight_processes_store_and_load_the_same_keys(directory):
    code = """
    import sys
    from pathlib import Path
    from tdsl.cache import ObjectCache, content_key
    cache = ObjectCache(Path(sys.argv[1]), max_bytes=60_000)
    for turn in range(150):
        number = turn % 7
        key, code = content_key(str(number)), bytes([number]) * 10_000
        entry = cache.load(key)
        if entry is None:
            cache.store(key, code, {"number": number})
        else:
            assert entry.code == code and entry.metadata == {"number": number}
        if turn == 75:
            cache.clear()
    print("fine")
    """
    processes = [start_python(code, directory) for _ in range(8)]
    assert [finish(process) for process in processes] == ["fine"] * 8
    assert not list(directory.glob(".*.tmp"))


def test_eight_processes_count_together_and_some_are_killed(directory):
    code = """
    import os, sys
    from pathlib import Path
    from tdsl.cache import ObjectCache, content_key
    me = sys.argv[2]
    cache = ObjectCache(Path(sys.argv[1]), max_bytes=400_000)
    for turn in range(40):
        cache.store(content_key(me, str(turn)), bytes(10_000), {})
        if me in "13" and turn == 20:
            os.kill(os.getpid(), 9)
    print("fine")
    """
    processes = [start_python(code, directory, number) for number in range(8)]
    for number, process in enumerate(processes):
        out, err = process.communicate(timeout=120)
        assert (out, process.returncode) == (("", -9) if number in {1, 3} else ("fine\n", 0)), err
    assert held(directory) <= counted(directory)
    assert 300_000 < held(directory) <= 400_000 + 8 * 10_500


def test_eight_processes_build_the_native_runtime_at_once(tmp_path):
    code = """
    from tdsl.runtime import pool
    print(pool.num_threads())
    """
    environment = {"TDSL_CACHE_DIR": str(tmp_path / "objects"), "TDSL_NUM_THREADS": "2"}
    processes = [start_python(code, **environment) for _ in range(8)]
    assert [finish(process) for process in processes] == ["2"] * 8
    assert len(entries_of(tmp_path / "objects")) == 1
