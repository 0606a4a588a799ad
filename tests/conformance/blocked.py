"""Keep other runtimes out of a process: onnxruntime and onnx.reference cannot be imported."""

import sys
import types
from importlib.abc import MetaPathFinder

BLOCKED = ("onnxruntime", "onnx.reference")


class _Refuse(MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if any(fullname == name or fullname.startswith(f"{name}.") for name in BLOCKED):
            raise ImportError(f"{fullname} is blocked: tdsl is to compute by itself")


def block_other_runtimes():
    """Call this before onnx is imported; `is_blocked` then holds until the process ends."""
    loaded = [m for m in sys.modules if m.startswith(BLOCKED)]
    if loaded:
        raise RuntimeError(f"already imported: {', '.join(loaded)}")
    sys.meta_path.insert(0, _Refuse())
    # the official runner has "import onnx.reference" on top, for models without stored results,
    # of which there is none: it finds this empty module
    stand_in = types.ModuleType("onnx.reference")
    stand_in.__path__ = []
    sys.modules["onnx.reference"] = stand_in


def is_blocked():
    """Whether nothing of the other runtimes is in this process, nor can be."""
    stand_in = sys.modules.get("onnx.reference")
    return (
        any(isinstance(finder, _Refuse) for finder in sys.meta_path)
        and stand_in is not None
        and not hasattr(stand_in, "ReferenceEvaluator")
        and not any(m.startswith(("onnxruntime", "onnx.reference.")) for m in sys.modules)
    )
