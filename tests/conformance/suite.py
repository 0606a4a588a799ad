"""ONNX's official runner over stored cases, with tdsl as the backend."""

import os
import unittest
import warnings
from pathlib import Path

from tests.conformance.blocked import is_blocked


def official_suite(cases, module=__name__):
    """onnx.backend.test.BackendTest for this machine's processor.

    Cases of single nodes come from the folder `cases` (see cases.py), the others from onnx.
    """
    if not is_blocked():
        raise RuntimeError("other runtimes could be imported: block_other_runtimes() comes first")
    from onnx.backend.test import BackendTest, loader
    from onnx.backend.test.case.test_case import TestCase

    from tests.conformance.backend import TdslBackend

    def stored():
        return [
            TestCase(
                name=folder.name, model_name=folder.name, url=None, model_dir=str(folder),
                model=None, data_sets=None, kind="node", rtol=1e-3, atol=1e-7,
            )
            for folder in sorted((Path(cases) / "node").iterdir())
        ]  # fmt: skip

    loader.load_node_model_tests = stored
    os.environ.setdefault("ONNX_MODELS", str(Path(cases) / "models"))  # inputs of whole models
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        suite = BackendTest(TdslBackend, module)
    return suite.exclude("_cuda$")


def tests_by_name(suite):
    """Each test of the suite, by its name without `_cpu`."""
    found = {}
    for case in suite.test_cases.values():
        for test in unittest.defaultTestLoader.loadTestsFromTestCase(case):
            name = test.id().rpartition(".")[2]
            if name.endswith("_cpu"):
                found[name.removesuffix("_cpu")] = test
    return found
