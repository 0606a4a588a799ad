"""What a schedule is written as must give it back: IR text, the trace as Python and as JSON."""

from __future__ import annotations

import json

import tdsl as td
from tdsl.fuzzing.differences import Disagreement
from tdsl.ir.equal import alpha_equal
from tdsl.ir.parser import parse_program
from tdsl.ir.printer import print_program
from tdsl.ir.verify import Stage, problems
from tdsl.scheduling import replay
from tdsl.scheduling.naming import index_program


def round_trips(s: td.Schedule) -> Disagreement | None:
    """The program is well formed, each loop can be named, and its text and trace rebuild it."""
    for _, text in problems(s.program, Stage.SCHEDULED):
        return Disagreement("verifier", text)
    index = index_program(s.program)
    for leaf in index.leaves:
        names = [loop.var.name for loop in index.loop_path(leaf)]
        if len(set(names)) < len(names):
            return Disagreement("names", f"two of the loops around {leaf} have one name: {names}")
    for program in (s.program, s.algorithm):
        if not alpha_equal(parse_program(print_program(program)), program):
            return Disagreement("text", "the parsed text is another program")
    again = td.Schedule(s.func, s.target)
    replay(json.loads(json.dumps(s.trace.json())), again)
    if not alpha_equal(again.program, s.program):
        return Disagreement("trace", "the replayed JSON trace gives another program")
    again.remembered.keep()  # its proofs; the next schedule finds them, as in a second process
    scope: dict[str, object] = {"td": td, s.func.name: s.func}
    exec(str(s.trace), scope)
    if not alpha_equal(scope["s"].program, s.program):
        return Disagreement("trace", "the trace as Python gives another program")
    return None
