"""How often blocks run, what they load and store, and how much storage they take: exact counts."""

from collections import Counter
from unittest.mock import patch

from tdsl.ir.interp import interpret
from tdsl.ir.interp_memory import Memory
from tdsl.ir.interp_stmts import StmtCompiler
from tdsl.ir.stmt import Alloc, Store
from tdsl.ir.visit import walk
from tdsl.lower import lower
from tests.scheduling.running import inputs_of


def runs(s, sizes=None, *, sliding=False, arrays=None):
    """How often each block runs, by name.

    As the schedule says; or *sliding*: as lowered, where a window that is stored outside its loop
    computes only what the iteration before has not computed.
    """
    counts = Counter()
    plain = StmtCompiler._writes

    def writes(self, block):
        update = plain(self, block)

        def counted(f):
            counts[block.name] += 1
            update(f)

        return counted

    program = s.program
    if sliding:
        program = dict(lower(program, s.target, keep=True).dumps)["slide_windows"]
    with patch.object(StmtCompiler, "_writes", writes):
        interpret(program, inputs_of(s.func, sizes or {}) if arrays is None else arrays, sizes)
    return counts


def touched(program, arrays, sizes=None):
    """The elements that a program loads and those that it stores, each time: two lists by name."""
    loads, stores = {}, {}
    plain_load, plain_store = Memory.load, Memory.store

    def load(self, buffer, indices, strict):
        run, element = plain_load(self, buffer, indices, strict), self.element(
            buffer, indices, strict
        )  # fmt: skip
        seen = loads.setdefault(buffer.name, [])
        return lambda f: (seen.append(element(f)), run(f))[1]

    def store(self, buffer):
        run = plain_store(self, buffer)
        seen = stores.setdefault(buffer.name, [])
        return lambda f, key, value: (seen.append(key), run(f, key, value))[1]

    with patch.object(Memory, "load", load), patch.object(Memory, "store", store):
        interpret(program, arrays, sizes)
    return loads, stores


def stores(s):
    """Stores of the lowered program that are vectors, and those that are scalars."""
    found = [n for n in walk(lower(s.program, s.target).program.body) if isinstance(n, Store)]
    return sum(n.value.lanes > 1 for n in found), sum(n.value.lanes == 1 for n in found)


def allocated(s, name):
    """The shape of a tensor's storage after lowering, ones left out; versions have room alike."""
    shapes = {
        tuple(e.value for e in n.buffer.shape)
        for n in walk(lower(s.program, s.target).program.body)
        if isinstance(n, Alloc) and n.buffer.name == name
    }
    (shape,) = shapes
    return tuple(n for n in shape if n != 1)
