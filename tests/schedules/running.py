"""Run a random case of an operator through its default schedule, and compare."""

import numpy as np

import tdsl as td
from tests.schedules.cases import Draw
from tests.schedules.movement_cases import CASES


def run(name, seed):
    """Raises AssertionError with the case's name, seed and decisions where the numbers differ."""
    made = CASES[name](Draw([seed, *name.encode()]))
    s = td.default_schedule(made.func)
    got = td.build(s)(*made.arrays)
    gots = got if isinstance(got, tuple) else (got,)
    wants = made.want if isinstance(made.want, list) else [made.want]
    label = f"{name} seed {seed} {made.about}\n{s.why}\n{s}"
    for one, two in zip(gots, map(np.asarray, wants), strict=True):
        assert one.shape == two.shape, f"shape {one.shape} != {two.shape}: {label}"
        np.testing.assert_allclose(
            one.astype("d"), two.astype("d"), rtol=made.tolerance, atol=made.tolerance * 5,
            err_msg=label,
        )  # fmt: skip
    return s
