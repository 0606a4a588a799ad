"""Instructions that tdsl ships are declared when a name is asked for that nobody has declared."""

import pytest

import tdsl as td
from tdsl.scheduling.primitives import mapping
from tests.scheduling.test_tensorize import matmul, ready


def test_the_library_is_asked_once_a_name_is_unknown(monkeypatch):
    asked = []
    monkeypatch.setattr(mapping, "declare_instructions", lambda: asked.append(True))
    s, loop = ready(matmul())
    s.tensorize(loop, "vpdpbusd")  # the tests have declared it
    assert not asked
    s, loop = ready(matmul())
    with pytest.raises(td.ScheduleError, match="vpdpbusx"):
        s.tensorize(loop, "vpdpbusx")
    assert asked == [True]
