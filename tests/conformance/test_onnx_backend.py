"""A share of ONNX's backend suite; `python -m tests.conformance` runs all of it."""

import subprocess
import sys

import pytest

pytest.importorskip("onnx")

from tests.conformance.cases import ROOT, stored_cases
from tests.conformance.outcomes import Outcome
from tests.conformance.report import expected_passes
from tests.conformance.running import case_names, run_cases

EVERY = 60


def test_a_share_of_the_suite_passes_as_before():
    cases = stored_cases()
    known = set(case_names(cases))  # another version of onnx may lack some
    names = [n for n in sorted(expected_passes())[::EVERY] if n in known]
    assert len(names) > 20
    results = list(run_cases(cases, names))
    assert [r for r in results if r.outcome is not Outcome.PASSED] == []


def test_other_runtimes_cannot_be_imported_where_the_suite_runs():
    script = """
from tests.conformance.blocked import block_other_runtimes, is_blocked
block_other_runtimes()
import onnx.backend.test.runner
from onnx import reference
for name in ("onnxruntime", "onnxruntime.capi", "onnx.reference.op_run"):
    try:
        __import__(name)
    except ImportError as error:
        assert "blocked" in str(error), error
    else:
        raise AssertionError(name)
assert not hasattr(reference, "ReferenceEvaluator")
assert is_blocked()
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
