# %% [markdown]
# # A matrix product, from naive loops to near the machine's peak
#
# One algorithm, and eight schedules of it; each is proven, built, compared bit by bit with the
# naive loops, and timed. Run it with `python tutorials/02_matmul.py`; SIZE=256 in the environment
# makes the matrices smaller than 1024 x 1024.

# %%
import os

import numpy as np

import tdsl as td

N = int(os.environ.get("SIZE", "1024"))

A = td.placeholder((N, N), "float32", name="A")
B = td.placeholder((N, N), "float32", name="B")
k = td.reduce_axis(N, name="k")
C = td.compute((N, N), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
matmul = td.func("matmul", [A, B], [C])

rng = np.random.default_rng(0)
a, b = (rng.standard_normal((N, N), np.float32) for _ in range(2))

# %% [markdown]
# ## The yardstick
#
# What could this machine do at best? A kernel that does nothing but multiply and add, in
# registers, tells. Each core has a few vectors of sums, added to over and over; twelve are enough
# to keep its units busy while each addition takes its time.

# %%
MACHINE = td.target("llvm")
LANES = MACHINE.lanes(32)  # float32s in one vector register


def peak(sums: int = 12, steps: int = 1 << 15) -> float:
    """The most multiplications and additions a second, in GFLOP/s, on all cores."""
    X = td.placeholder((sums, LANES), "float32", name="X")
    Y = td.placeholder((LANES,), "float32", name="Y")
    r = td.reduce_axis(steps, name="r")
    Z = td.compute(
        (MACHINE.cores, sums, LANES), lambda _c, i, v: td.sum(X[i, v] * Y[v], axis=r), name="Z"
    )
    s = td.Schedule(td.func("peak", [X, Y], [Z]))
    s.cache_write("Z", "register")
    core, i, lanes = s.loops("Z.out")
    s.compute_at("Z", at=core)
    i_sum, lanes_sum, step = s.loops("Z")[-3:]
    s.reorder(step, i_sum, lanes_sum)
    for loop in (i, i_sum):
        s.unroll(loop)
    for loop in (lanes, lanes_sum):
        s.vectorize(loop)
    s.parallel(core)
    times = td.build(s).time(np.ones((sums, LANES), np.float32), np.ones(LANES, np.float32))
    return 2 * MACHINE.cores * sums * LANES * steps / min(times) / 1e9


PEAK = peak()
print(f"{MACHINE.cores} cores, {LANES} lanes: {PEAK:.0f} GFLOP/s at best")

# %% [markdown]
# ## Measuring a step
#
# `numerics` is what tdsl promises of the bits of the result. All schedules below are `exact`; the
# comparison checks that promise.

# %%
naive = td.build(td.Schedule(matmul))
WANTED = naive(a, b)


def measure(title: str, s: td.Schedule) -> None:
    """Build, compare, time, and print a line."""
    kernel = td.build(s)
    c = np.empty_like(WANTED)
    assert np.array_equal(kernel(a, b, out=c), WANTED), title
    seconds = min(kernel.time(a, b, out=c, repeat=3))
    rate = 2 * N**3 / seconds / 1e9
    share = f"{rate / PEAK:6.1%}"
    print(f"{title:34}{1e3 * seconds:10.3f} ms{rate:8.1f} GFLOP/s {share} {s.numerics.value}")


measure("naive: i, j, k", td.Schedule(matmul))

# %% [markdown]
# ## 1. Walk along rows
#
# The naive inner loop walks down a column of B: each step is another line of the cache. With `j`
# innermost, B and C are read along their rows. Reordering is legal although `k` is a reduction:
# each element of C still adds its products in the order of `k`.

# %%
s = td.Schedule(matmul)
i, j, k_loop = s.loops("C")
s.reorder(i, k_loop, j)
measure("rows: i, k, j", s)

# %% [markdown]
# ## 2. Vectors
#
# `vectorize` takes the width from the target.

# %%
s.vectorize(j)
measure("and j in vectors", s)
print(s)

# %% [markdown]
# Vectors along `k` would be another matter: lanes of one vector would add to the same element.

# %%
try:
    td.Schedule(matmul).vectorize("C.k")
except td.ScheduleError as refusal:
    print(refusal)

# %% [markdown]
# ## 3. Tiles in registers
#
# Each multiplication now loads and stores an element of C. A tile of C that stays in registers
# while all of `k` goes by saves that: 6 rows of 4 vectors are 24 registers of 32, with some left
# for a row of B (processors with 16 registers get 6 rows of 2). 6 does not divide 1024; asking for
# an exact split is refused with the numbers.

# %%
ROWS, COLUMNS = 6, (4 if MACHINE.vector_registers >= 32 else 2) * LANES
try:
    td.Schedule(matmul).split("C.i", ROWS, tail="exact")
except td.ScheduleError as refusal:
    print(refusal)

# %% [markdown]
# `tile` guards the rest instead. The init of the sums follows by itself to where `k` begins.

# %%
s = td.Schedule(matmul)
i, j, k_loop = s.loops("C")
i_out, j_out, i_in, j_in = s.tile(i, j, ROWS, COLUMNS)
s.reorder(i_out, j_out, k_loop, i_in, j_in)
s.vectorize(j_in)
measure("tiles, not unrolled", s)
s.unroll(i_in)
measure("tiles, unrolled", s)
print(s)

# %% [markdown]
# ## 4. Say that it is registers
#
# The step above left it to the compiler to keep the tile in registers. `cache_write` makes the tile
# a tensor of its own, with a scope; if a loop over it were not unrolled, `td.build` would refuse
# rather than quietly fall back to memory. `balance` splits rows into tiles of 5 and 6 rather than
# leave a small rest, and `mask` makes the rest of a row one masked vector.


# %%
def tiled(*, packed: bool = False) -> td.Schedule:
    """Tiles of C in registers; optionally with panels of B copied side by side."""
    s = td.Schedule(matmul)
    s.cache_write("C", "register")
    i, j = s.loops("C.out")
    j_out, j_in = s.split(j, COLUMNS, tail="mask")
    i_out, i_in = s.split(i, ROWS, tail="balance")
    s.reorder(j_out, i_out, i_in, j_in)
    s.compute_at("C", at=i_out)
    i_sum, j_sum, k_loop = s.loops("C")[-3:]
    s.reorder(k_loop, i_sum, j_sum)
    if packed:
        panel = s.cache_read("C", "B", at=j_out)
        s.vectorize(s.loops(panel)[-1])
    for loop in (j_in, j_sum):
        s.vectorize(loop)
    s.unroll(i_in)
    s.unroll(i_sum)
    return s


measure("tiles in registers", tiled())

# %%
s = td.Schedule(matmul)
s.cache_write("C", "register")
try:
    td.build(s)
except td.LoweringError as refusal:
    print(refusal)

# %% [markdown]
# ## 5. Pack B
#
# A panel of B, as wide as a tile, is read from rows that lie far apart: the caches and the address
# translation suffer. `cache_read` copies the panel once and all tiles below each other use it.

# %%
s = tiled(packed=True)
measure("and panels of B packed", s)

# %% [markdown]
# ## 6. Threads
#
# Panels are independent, and each thread gets a copy of its own of the packed one.

# %%
s.parallel("C.out.jo")
print(s)
measure("and panels in parallel", s)

# %% [markdown]
# Not every loop may run at once. Here two threads would add to the same elements.

# %%
s = td.Schedule(matmul)
k_out, _ = s.split("C.k", 64)
s.reorder(k_out, "C.i", "C.j")
try:
    s.parallel(k_out)
except td.ScheduleError as refusal:
    print(refusal)

# %% [markdown]
# ## What the library does
#
# `td.build(matmul)` schedules products by rules that know these steps, and more for other shapes.

# %%
print(td.default_schedule(matmul).why)
measure("default schedule", td.default_schedule(matmul))
