import numpy as np
import pytest

import tdsl as td
from tdsl.cache import default_cache
from tdsl.graph import kept
from tests.graph.test_packing import product


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TDSL_CACHE_DIR", str(tmp_path / "objects"))
    return tmp_path / "objects"


def kernel(monkeypatch, *, refuse=False):
    g, w, x = product()
    if refuse:
        monkeypatch.setattr(
            "tdsl.graph.compile.default_schedule", lambda *_: pytest.fail("it was scheduled again")
        )
    session = td.Session(g)
    np.testing.assert_allclose(
        session.run({"x": x})["y"], np.maximum(x @ w.T, 0), rtol=1e-4, atol=1e-4
    )
    (step,) = session._last().executable.steps
    return step.kernel


def test_a_second_session_schedules_nothing(cache, monkeypatch):
    first = kernel(monkeypatch)
    second = kernel(monkeypatch, refuse=True)
    assert second.digest == first.digest
    assert second.packed == first.packed


def test_a_kernel_from_disk_shows_its_sources(cache, monkeypatch):
    sources = [kernel(monkeypatch).source("ir") for _ in range(2)]
    assert sources[0] == sources[1]
    assert "vectorized" in sources[0]


def test_an_entry_of_another_form_is_made_anew(cache, monkeypatch):
    keys = []
    real = kept.kernel_key
    monkeypatch.setattr(kept, "kernel_key", lambda *a: keys.append(real(*a)) or keys[-1])
    kernel(monkeypatch)
    default_cache().store(keys[0], b"", {"kernels": [{"argument": ""}]})
    kernel(monkeypatch)
    kernel(monkeypatch, refuse=True)


def test_damaged_entries_are_made_anew(cache, monkeypatch):
    kernel(monkeypatch)
    for path in cache.glob("*.tdslobj"):
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
    kernel(monkeypatch)
