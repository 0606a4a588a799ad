"""ONNX's backend test suite through its official runner (make conformance)."""

import warnings

import pytest

pytest.importorskip("onnx")

from onnx.backend.test import BackendTest

from tests.conformance.backend import TdslBackend

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.filterwarnings("ignore"),  # numpy warns where cases hold NaN and overflow
]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # cases are computed while they are collected
    suite = BackendTest(TdslBackend, __name__)
    suite.exclude("_cuda$")
    globals().update(suite.test_cases)
