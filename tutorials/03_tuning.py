# %% [markdown]
# # Tuning your own kernel
#
# A schedule has numbers in it that nobody knows beforehand: how high a strip, how many vectors at
# once. The tuner finds them by measuring. `my_kernel.py`, beside this file, holds an algorithm and
# a *template*: a schedule with knobs. Run this with `python tutorials/03_tuning.py`; TRIALS=8 in
# the environment measures fewer candidates than 48.

# %%
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from my_kernel import edges

import tdsl as td

TRIALS = os.environ.get("TRIALS", "48")
KERNEL = Path(__file__).with_name("my_kernel.py")
FOLDER = Path("tutorial-output")
FOLDER.mkdir(exist_ok=True)
WINNER = FOLDER / "edges.schedule"
print(KERNEL.read_text(encoding="utf-8"))

# %% [markdown]
# The template is run once for each candidate. `knob.choice` gives one of some options, on which it
# may branch; `knob.tile` and `knob.int` give numbers. Without a template the tuner writes sketches
# of its own; a template is worth it where you know what matters.
#
# ## The search
#
# Each candidate is proven, built, run and checked in processes of their own; what crashes or hangs
# costs a trial and nothing else. In the end the best few and the default schedule are timed in
# turn, since only that tells a gain from the noise, and steps that make no difference are left out.
#
# All measurements are kept in a database: here in a file of our own, else in your data folder.
# Ctrl-C loses nothing, and the same command goes on from there.

# %%
os.environ["TDSL_DB"] = str(FOLDER / "tuning.db")


def tdsl(*arguments: str) -> None:
    """Run the command `tdsl`, as a shell does."""
    print("$ tdsl", *arguments, flush=True)
    command = [sys.executable, "-c", "from tdsl.cli import main; main()", *arguments]
    subprocess.run(command, check=False)


tdsl("tune", f"{KERNEL}:edges", "--trials", TRIALS, "--seconds", "60", "--out", str(WINNER))

# %% [markdown]
# The same again measures nothing: the trials are made. `tdsl db` looks into the database.

# %%
tdsl("tune", f"{KERNEL}:edges", "--trials", TRIALS)
tdsl("db", "ls")

# %% [markdown]
# ## The winner is a file
#
# It holds the steps in Python, to read, to put under version control, and to edit. It is never run,
# only parsed; `tdsl check` proves it again, against the algorithm as it is now.

# %%
print(WINNER.read_text(encoding="utf-8"))
tdsl("check", str(WINNER))

# %% [markdown]
# An edit that breaks the schedule does not get through: here only two rows of `smooth` would be
# kept at a time, and Sobel's filter reads three.

# %%
broken = FOLDER / "broken.schedule"
text = WINNER.read_text(encoding="utf-8")
broken.write_text(text + '\ns.fold_storage("smooth", 2, dim=0)\n', encoding="utf-8")
tdsl("check", str(broken))

# %% [markdown]
# ## Building it
#
# By file, or as whatever the database knows best of this algorithm on this machine.

# %%
algorithm = edges()
kernels = {
    "naive": td.build(td.Schedule(algorithm)),
    "default": td.build(algorithm),
    "file": td.build(algorithm, schedule=WINNER),
    "tuned": td.build(algorithm, schedule="tuned"),
}
picture = np.random.default_rng(0).random((1030, 1030), dtype=np.float32)
wanted = kernels["naive"](picture)
for name, kernel in kernels.items():
    assert np.array_equal(kernel(picture), wanted)
    print(f"{name:8} {1e6 * min(kernel.time(picture)):8.0f} us")

# %% [markdown]
# An algorithm that the database does not know is not built with some other schedule in silence.

# %%
try:
    td.build(edges(64, 48), schedule="tuned")
except td.TdslError as missing:
    print(missing)

# %% [markdown]
# ## From Python
#
# `td.autotune.tune` is the same search as a function, of one task or of several; the trials of the
# command above count, since the database is the same.

# %%
task = td.autotune.task_of(edges, (1024, 1024))
(result,) = td.autotune.tune(task, trials=int(TRIALS))
print(result.measured, "measured now,", result.trials, "in all")
print(result.schedule.trace)
