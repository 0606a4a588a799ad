"""Lanes that are looked up in tables: in registers, one by one, or by the machine's gather."""

import ml_dtypes
import numpy as np
import pytest

import tdsl as td
from tdsl.target import host

RNG = np.random.default_rng(0)


def look_up(count, dtype, index="int32", *, n=203, checked=False, where=False):
    table = td.placeholder((count,), dtype, name="table")
    at = td.placeholder((n,), index, name="at")

    def found(i):
        place = at[i] if checked else td.unchecked(td.cast(at[i], "int64"))
        return td.select(at[i] > 3, table[place], 0) if where else table[place]

    return td.func("look_up", [table, at], [td.compute((n,), found, name="found")])


def vectorised(func, lanes, on="llvm"):
    s = td.Schedule(func, td.target(on))
    s.vectorize(s.split("found.i", lanes, tail="mask")[1])
    return td.build(s)


def arguments(count, dtype, index, n=203):
    values = RNG.integers(0, 200 if np.dtype(dtype).itemsize == 1 else 30000, count)
    at = RNG.integers(0, min(count, np.iinfo(index).max + 1), n).astype(index)
    return values.astype(dtype), at


@pytest.mark.parametrize("on", ["llvm", "llvm -mcpu=x86-64-v3"])
@pytest.mark.parametrize("lanes", [8, 16, 32, 64])
@pytest.mark.parametrize(
    ("count", "dtype", "index"),
    [
        (64, "uint8", "int32"), (256, "uint8", "uint8"), (128, "int8", "int8"),
        (1024, "uint8", "int32"), (1000, "uint8", "int32"), (192, "uint8", "uint16"),
        (32, "uint16", "uint8"), (256, "int16", "int16"), (2048, "int16", "int32"),
        (128, "float32", "int32"),
    ],
)  # fmt: skip
def test_tables_are_looked_up(on, lanes, count, dtype, index):
    table, at = arguments(count, dtype, index)
    kernel = vectorised(look_up(count, dtype, index), lanes, on)
    np.testing.assert_array_equal(kernel(table, at), table[at])


@pytest.mark.parametrize("lanes", [16, 64])
@pytest.mark.parametrize("where", [False, True])
@pytest.mark.parametrize("checked", [False, True])
def test_conditions_and_checks_are_kept(lanes, where, checked):
    table, at = arguments(256, "uint8", "int32")
    kernel = vectorised(look_up(256, "uint8", where=where, checked=checked), lanes)
    expected = np.where(at > 3, table[at], 0) if where else table[at]
    np.testing.assert_array_equal(kernel(table, at), expected)
    if checked:
        at[100] = 256
        with pytest.raises(IndexError):
            kernel(table, at)


def test_halves_are_looked_up_as_bits():
    table = RNG.standard_normal(64).astype(ml_dtypes.bfloat16)
    at = RNG.integers(0, 64, 203).astype("int32")
    kernel = vectorised(look_up(64, "bfloat16"), 32)
    np.testing.assert_array_equal(kernel(table, at).view("uint16"), table[at].view("uint16"))


@pytest.mark.skipif("avx512vbmi" not in host().features, reason="this machine permutes no bytes")
def test_small_tables_stay_in_registers_where_the_machine_permutes_bytes():
    def code(count, lanes, kind="llvm"):
        return vectorised(look_up(count, "uint8", n=256), lanes).source(kind)

    for count, lanes in ((1024, 64), (256, 16)):
        assert "vpermi2var.qi.512" in code(count, lanes)
    for count, lanes in ((1024, 32), (4096, 64), (1000, 64)):
        assert "vpermi2var" not in code(count, lanes)
        assert "masked.gather" not in code(count, lanes)
    # one permutation for 128 bytes
    asm = code(1024, 64, "asm")
    assert asm.count("vpermi2b") + asm.count("vpermt2b") == 8


def test_strided_tables_are_not_taken_for_dense_ones():
    table = td.placeholder((128,), "uint8", name="table", strides="any")
    at = td.placeholder((203,), "int32", name="at")
    found = td.compute((203,), lambda i: table[td.unchecked(td.cast(at[i], "int64"))], name="found")
    kernel = vectorised(td.func("look_up", [table, at], [found]), 64)
    values, places = arguments(256, "uint8", "int32")
    places %= 128
    np.testing.assert_array_equal(kernel(values[::2], places), values[::2][places])
