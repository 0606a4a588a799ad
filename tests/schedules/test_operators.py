import pytest

from tests.schedules.movement_cases import CASES
from tests.schedules.running import run

FEW = 3


@pytest.mark.parametrize("seed", range(FEW))
@pytest.mark.parametrize("name", CASES)
def test_default_schedules_compute_what_numpy_does(name, seed):
    run(name, seed)


@pytest.mark.fuzz
@pytest.mark.parametrize("name", CASES)
def test_many_random_cases(name):
    for seed in range(FEW, 60):
        run(name, seed)
