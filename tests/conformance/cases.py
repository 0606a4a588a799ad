"""Write the cases of ONNX's backend suite to a folder: model.onnx and test_data_set_0 for each.

Some cases work out what they expect by onnx.reference while they are collected. So this runs in a
process of its own (python -m tests.conformance.cases FOLDER), and the suite runs in others, which
can't import onnx.reference.
"""

import argparse
import subprocess
import sys
import types
import warnings
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]


def stored_cases():
    """The folder of the cases of the installed version of onnx, written on first use."""
    place = ROOT / "build" / "conformance" / metadata.version("onnx")
    if not (place / "complete").exists():
        place.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.conformance.cases", place]
        subprocess.run(command, check=True, cwd=ROOT)
        (place / "complete").touch()
    return place


def write_cases(folder):
    """By onnx's own command, `backend-test-tools generate-data`."""
    warnings.simplefilter("ignore")  # numpy warns where cases hold NaN and overflow
    from onnx.backend.test import cmd_tools
    from onnx.backend.test.case import node

    collected = types.SimpleNamespace(collect_testcases=node.collect_testcases)
    cmd_tools.model_test = collected
    cmd_tools.generate_data(argparse.Namespace(output=folder))


if __name__ == "__main__":
    write_cases(sys.argv[1])
