"""What makes one refusal different from another: the line that refuses, and its words."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from types import TracebackType

import tdsl as td

_PACKAGE = Path(td.__file__).parent
_OF_A_STEP = ("scheduling/primitives/", "schedules/")
_MAPPING = "primitives/mapping.py"  # of two steps
_KINDS = ("serial", "parallel", "vectorized", "unrolled", "instruction", "fused")

Key = tuple[str, str, str]


def keys_of(error: td.TdslError, primitive: str) -> frozenset[Key]:
    """What a refusal is an example of: the step; the line that refuses, in words without names.

    Other lines than those of a primitive's own file say the same for all steps.
    """
    site = _site(error)
    text = skeleton(error.message)
    refused = error.primitive if isinstance(error, td.ScheduleError) else primitive
    if not site.startswith(_OF_A_STEP) or _MAPPING in site:
        refused, text = "", re.sub(rf"\b{refused}\b", "_", text)
    return frozenset({(primitive, "", ""), (refused, site, ""), (refused, site, text)})


def skeleton(message: str) -> str:
    """A message without names and numbers."""
    text = re.sub(r"'[^']*'", "_", message)
    text = re.sub(r"[\w.@]+", lambda word: word[0] if word[0] in _vocabulary() else "_", text)
    text = re.sub(rf"\b({'|'.join(_KINDS)})\b", "_", text)
    return re.sub(r"_(,? _)+", "_", text)


@cache
def _vocabulary() -> frozenset[str]:
    """The words of messages: those of the strings in the code that refuses."""
    words: set[str] = set()
    for folder in ("scheduling", "analysis"):
        for path in (_PACKAGE / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Expr):
                    continue
                said = [x for x in ast.iter_child_nodes(node) if isinstance(x, ast.Constant)]
                words.update(w for x in said if isinstance(x.value, str) for w in x.value.split())
    return frozenset(w for w in words if re.fullmatch("[a-z_]{2,}|a", w))


def _site(error: BaseException) -> str:
    """The innermost line that raised, of the prover's answer where it is one."""
    cause = error.__context__ if error.__suppress_context__ else None
    trace: TracebackType | None = (cause or error).__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    place = Path(code.co_filename).relative_to(_PACKAGE)
    return f"{place}:{code.co_name}:{trace.tb_lineno}"
