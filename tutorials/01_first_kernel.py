# %% [markdown]
# # A first kernel
#
# tdsl keeps two things apart: the *algorithm* says what to compute, the *schedule* says in which
# loops. This file declares an algorithm, runs it, schedules it, and shows what happens when a
# declaration, a schedule or a call is wrong. Run it with `python tutorials/01_first_kernel.py`,
# or cell by cell in an editor that knows `# %%`.

# %%
import numpy as np

import tdsl as td

# %% [markdown]
# ## What to compute
#
# A moving average of three samples, then its distance from the sample in the middle. Sizes are
# symbolic: one kernel will serve every length. A *placeholder* stands for an argument; a *compute*
# gives one element as a function of its indices.

# %%
N = td.sizes("N")
signal = td.placeholder((N + 2,), "float32", name="signal")
mean = td.compute(
    (N,), lambda i: (signal[i] + signal[i + 1] + signal[i + 2]) * (1.0 / 3.0), name="mean"
)
noise = td.compute((N,), lambda i: td.abs(signal[i + 1] - mean[i]), name="noise")
roughness = td.func("roughness", inputs=[signal], outputs=[noise])

# %% [markdown]
# ## Running it
#
# `td.build` of a Func compiles it under a default schedule for this machine. `td.reference` is the
# same algorithm in numpy: it shares no code with the compiler, and is there to compare with.

# %%
kernel = td.build(roughness)
samples = np.random.default_rng(0).standard_normal(1_000_002, dtype=np.float32)
result = kernel(samples)
print(result.shape, result[:3])
np.testing.assert_allclose(result, td.reference(roughness)(samples), rtol=1e-5, atol=1e-6)

# %% [markdown]
# An output that exists already can be passed in, and `kernel.time` measures without Python's part.

# %%
out = np.empty_like(result)
kernel(samples, out=out)
print(f"default schedule: {1e6 * min(kernel.time(samples, out=out)):.0f} us")

# %% [markdown]
# Why that schedule? A default schedule says which rule it follows.

# %%
print(td.default_schedule(roughness).why)

# %% [markdown]
# ## How to loop
#
# A schedule of one's own starts with one plain loop nest for each compute. Printing it shows the
# loops as they stand.

# %%
s = td.Schedule(roughness)
print(s)

# %% [markdown]
# Each step changes the loops at once. Here: `noise` in pieces of 2048 that threads share, each of
# 128 vectors of 16; the means of a piece computed with it, so that they are still in the cache.

# %%
(i,) = s.loops("noise")
piece, _, lanes = s.split(i, (None, 128, 16))
s.compute_at("mean", at=piece)
s.vectorize(lanes)
_, lanes = s.split(s.loops("mean")[-1], 16)
s.vectorize(lanes)
s.parallel(piece)
print(s)

# %% [markdown]
# The last line says what the schedule does to the bits of the result: nothing. It is equal to what
# the plain loops give, which is what `td.build(td.Schedule(func))` compiles.

# %%
scheduled = td.build(s)
plain = td.build(td.Schedule(roughness))
assert np.array_equal(scheduled(samples), plain(samples))
for name, built in (("plain", plain), ("scheduled", scheduled)):
    print(f"{name}: {1e6 * min(built.time(samples, out=out)):.0f} us")

# %% [markdown]
# ## What cannot go wrong
#
# A step that would change the result is refused, and the refusal names two iterations that conflict
# and the element where they meet. Here threads would add to one sum at once.

# %%
k = td.reduce_axis(N, name="k")
total = td.compute((), lambda: td.sum(td.abs(signal[k + 1] - signal[k]), axis=k), name="total")
variation = td.func("variation", [signal], [total])
s = td.Schedule(variation)
try:
    s.parallel("total.k")
except td.ScheduleError as refusal:
    print(refusal)

# %% [markdown]
# The help line names ways out. `rfactor` gives each piece of the loop a sum of its own, and adds
# those up at the end. Additions of floats in another order round differently: the schedule is now
# labelled `reassociates`, where all before was `exact`. (Of the two sums printed, that in pieces is
# the more accurate one.)

# %%
pieces, _ = s.split("total.k", 4096)
partial = s.rfactor(pieces)
s.parallel(s.loops(partial)[0])
print(s)
print(td.build(s)(samples), td.build(td.Schedule(variation))(samples))

# %% [markdown]
# An algorithm that reads past the end of an argument is refused when it is declared.

# %%
try:
    td.func(
        "too_far", [signal], [td.compute((N,), lambda i: signal[i] + signal[i + 3], name="far")]
    )
except td.DeclarationError as refusal:
    print(refusal)

# %% [markdown]
# And a call checks its arguments: their number, types and shapes, and that all sizes agree.

# %%
for argument in (samples.astype(np.float64), samples.reshape(2, -1)):
    try:
        scheduled(argument)
    except (TypeError, ValueError) as refusal:
        print(refusal)

# %% [markdown]
# ## Looking inside
#
# `kernel.source` gives what became of the schedule: "ir", "lowered", "llvm" or "asm" (also
# `tdsl show FILE.py:NAME --asm`). `s.trace` is the schedule as Python; `s.save` writes it to a file
# that `td.load_schedule` and `tdsl check` prove again, line by line.

# %%
print("\n".join(scheduled.source("llvm").splitlines()[:8]))
print(s.trace)
