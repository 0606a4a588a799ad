import numpy as np

import tdsl as td
from tdsl.ir.stmt import Store
from tdsl.ir.visit import walk
from tdsl.lower import lower
from tests.lower.nests import TARGET, check_every_pass


def counted_levels(n=40, levels=16):
    x = td.placeholder((n,), "int32", name="x")
    r = td.reduce_axis(n, name="r")
    y = td.compute(
        (levels,),
        lambda z: td.sum(td.cast(x[r], "float32"), axis=r, where=x[r] == td.cast(z, "int32")),
        name="y",
    )
    s = td.Schedule(td.func("levels", [x], [y]), TARGET)
    z, r = s.loops("y")
    s.reorder(r, z)
    s.vectorize(z)
    return s


def test_what_data_selects_is_summed_in_registers():
    s = counted_levels()
    dumps = dict(lower(s.program, TARGET, keep=True).dumps)
    stores = [n for n in walk(dumps["vectorise"].body) if isinstance(n, Store)]
    assert all(store.mask is None for store in stores)
    check_every_pass(s.program, {})


def test_indices_from_data_are_not_read_where_they_are_not_selected():
    t = td.placeholder((4,), "float32", name="t")
    x = td.placeholder((20,), "int32", name="x")
    r = td.reduce_axis(20, name="r")
    y = td.compute(
        (16,),
        lambda z: (
            td.sum(t[td.unchecked(td.cast(x[r], "int64"))], axis=r, where=(x[r] >= 0) & (x[r] < 4))
            + td.cast(z, "float32")
        ),
        name="y",
    )
    s = td.Schedule(td.func("some", [t, x], [y]), TARGET)
    s.vectorize(s.loops("y")[0])
    table = np.arange(4, dtype=np.float32)
    at = np.where(np.arange(20) % 3 == 0, 10**9, np.arange(20) % 4).astype(np.int32)
    wanted = table[at[at < 4]].sum() + np.arange(16)
    assert np.array_equal(td.build(td.Schedule(s.func))(table, at), wanted)


def test_a_narrower_index_is_widened_before_it_is_added_to():
    t = td.placeholder((16,), "float32", name="t")
    x = td.placeholder((8,), "float32", name="x")

    def pair(i):
        level = td.cast(x[i], "int32")
        return t[td.unchecked(td.cast(level, "int64"))] + t[
            td.unchecked(td.cast(level, "int64") + 1)
        ] * td.cast(i % 3, "float32")

    y = td.compute((8,), pair, name="y")
    s = td.Schedule(td.func("pairs", [t, x], [y]))
    s.vectorize(s.loops("y")[0])
    table, at = np.arange(16, dtype=np.float32), np.linspace(0, 14, 8, dtype=np.float32)
    wanted = table[at.astype(int)] + table[at.astype(int) + 1] * (np.arange(8) % 3)
    assert np.array_equal(td.build(s)(table, at), wanted)
