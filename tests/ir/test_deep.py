import sys
from threading import Thread

import numpy as np

from tdsl import dtypes
from tdsl.ir.deep import deep_recursion
from tdsl.ir.equal import alpha_equal, fingerprint
from tdsl.ir.expr import Binary, BinaryOp, Var
from tdsl.ir.interp import interpret
from tdsl.ir.parser import parse_program
from tdsl.ir.printer import print_nest, print_program
from tdsl.ir.simplify import simplify_program
from tdsl.ir.verify import verify
from tests.ir import samples


def test_a_sum_of_a_thousand_terms_goes_through_every_tool():
    def total(x):
        e = x
        for _ in range(999):
            e = Binary(BinaryOp.ADD, e, x)
        return e

    program = samples.elementwise(Var("N"), dtypes.int32, total)
    limit = sys.getrecursionlimit()
    verify(program, "scheduled")
    back = parse_program(print_program(program))
    assert alpha_equal(back, program)
    assert len(fingerprint(program)) == 64
    assert print_nest(program).startswith("for i in N:")
    simplify_program(program)
    got = interpret(program, {"x": np.array([3], np.int32)})
    assert got["out"].tolist() == [3000]
    assert sys.getrecursionlimit() == limit


def test_the_limit_stays_raised_while_any_thread_needs_it():
    limit = sys.getrecursionlimit()
    with deep_recursion():
        raised = sys.getrecursionlimit()

        def enter():
            with deep_recursion():
                pass

        thread = Thread(target=enter)
        thread.start()
        thread.join()
        assert sys.getrecursionlimit() == raised > limit
    assert sys.getrecursionlimit() == limit
