"""specialize: a version of a nest for sizes of which something is known."""

from __future__ import annotations

from dataclasses import replace

from tdsl.errors import DeclarationError
from tdsl.ir.expr import Binary, BinaryOp, Expr, Unary, UnaryOp, Var
from tdsl.ir.polyhedra import Domain
from tdsl.ir.stmt import Alloc, For, Guard, Leaf, Seq, Stmt
from tdsl.ir.visit import free_vars
from tdsl.lang.assume import parse_fact
from tdsl.scheduling.arguments import ConditionArg, MaybeLoopArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.tree import guarded, leaves_below, renamed, sequence, statements, swap

_OPPOSITE = {
    BinaryOp.LT: BinaryOp.GE,
    BinaryOp.LE: BinaryOp.GT,
    BinaryOp.GT: BinaryOp.LE,
    BinaryOp.GE: BinaryOp.LT,
    BinaryOp.EQ: BinaryOp.NE,
    BinaryOp.NE: BinaryOp.EQ,
}


@primitive
def specialize(
    edit: Edit, condition: ConditionArg, loop: MaybeLoopArg = None, unsafe: bool = False
) -> tuple[Loop, ...]:
    """Run a version of its own where a condition on the sizes holds: a fast path.

    The nest is written twice, as blocks `C@0` (the condition holds) and `C@1` (it does not), and
    each is scheduled by itself; one of them runs. Conditions that the fast one no longer needs
    disappear there, and `split` knows the condition. Loops around private tensors are shared.
    Versions of earlier steps are written twice only where both would run for some size: `N >= 8`
    and then `N >= 64` make three in all.

    Args:
        condition: a comparison of sizes such as `"N % 16 == 0"` or `"M == N"`.
        loop: the loop to write twice; its handle, and those inside, stay with the fast version.
            None: the whole program.
        unsafe: skip the proof.

    Returns:
        The outermost loops of the fast version, then those of the slow one. Private tensors divide
        the nest: the same of each piece in turn.

    >>> import tdsl as td
    >>> N = td.sizes("N")
    >>> A = td.placeholder((N,), "float32", name="A")
    >>> B = td.compute((N,), lambda i: A[i] + 1.0, name="B")
    >>> s = td.Schedule(td.func("increment", [A], [B]))
    >>> fast, slow = s.specialize("N % 8 == 0")
    >>> _ = s.split(fast, 8, tail="exact")
    >>> print(s.nest)
    for io in N // 8:
      for ii in 8:
        if N % 8 == 0: B[io * 8 + ii] = A[io * 8 + ii] + 1
    for i in N:
      if N % 8 != 0: B[i] = A[i] + 1

    Raises:
        ScheduleError: the condition names something else than sizes, or there are no sizes.
    """
    cond = _parsed(edit, str(condition))
    made: list[Var] = []
    versions = _Versions(edit, cond, made)
    if loop is None:
        body = versions.of(edit.body, ())
    else:
        target = edit.loop(loop)
        around = tuple(s for s in edit.path_to_loop(target)[:-1] if isinstance(s, For))
        body = swap(edit.body, target, versions.of(target, around))
    edit.commit(body, unsafe=unsafe)
    return edit.handles(*made)


def _parsed(edit: Edit, text: str) -> Expr:
    sizes = {var.name: var for var in edit.program.sizes}
    if not sizes:
        raise edit.error("all sizes are known numbers", "declare sizes with td.sizes")
    try:
        return parse_fact(text, sizes)
    except DeclarationError as error:
        reason = f"{text!r} is no condition on the sizes: {error.message}"
        names = ", ".join(sizes)
        hint = (
            f"its sizes are: {names}; compare them, as in '{edit.program.sizes[0].name} % 16 == 0'"
        )
        raise edit.error(reason, hint) from None  # the error's own hint is for td.func(assume=)


class _Versions:
    """Writes statements twice, under a condition and under its opposite."""

    def __init__(self, edit: Edit, cond: Expr, made: list[Var]) -> None:
        self.edit = edit
        self.cond = cond
        self.made = made

    def of(self, stmt: Stmt, around: tuple[For, ...]) -> Stmt:
        """Both versions of *stmt*; what holds private tensors is entered, not copied."""
        if not any(isinstance(s, Alloc) for s in statements(stmt)):
            versions = self._both(stmt, around)
            for version in versions:
                self.made += [s.var for s in version if isinstance(s, For)]
            return sequence(*versions[0], *versions[1])
        match stmt:
            case For(body=body):
                return replace(stmt, body=self.of(body, (*around, stmt)))
            case Alloc(body=body):
                return replace(stmt, body=self.of(body, around))
            case Seq(body=items):
                return sequence(*(self.of(item, around) for item in items))
            case _:
                return stmt

    def _both(self, stmt: Stmt, around: tuple[For, ...]) -> tuple[list[Stmt], list[Stmt]]:
        """The statements of the fast version, and those of the slow one.

        What only runs in one of them, for an earlier step made it a version of something, is not
        written twice: the program would double with every step.
        """
        items = stmt.body if isinstance(stmt, Seq) else (stmt,)
        opposite = _opposite(self.cond)
        runs = [(self._may_run(item, self.cond), self._may_run(item, opposite)) for item in items]
        if not (any(fast for fast, _ in runs) and any(slow for _, slow in runs)):
            runs = [(True, True)] * len(items)  # two versions are what was asked for
        fast: list[Stmt] = []
        slow: list[Stmt] = []
        for item, (in_fast, in_slow) in zip(items, runs, strict=True):
            if in_fast and in_slow:
                fast.append(self._fast(guarded(item, (Guard(self.cond),)), around))
                slow.append(renamed(guarded(item, (Guard(opposite),)))[0])
            else:
                (slow if in_slow else fast).append(item)
        return fast, slow

    def _may_run(self, stmt: Stmt, cond: Expr) -> bool:
        """Whether there are sizes, among those that meet a condition, for which *stmt* runs."""
        sizes, assume = self.edit.program.sizes, self.edit.program.assume
        for leaf in leaves_below(stmt):
            known = [g.cond for g in leaf.guards if free_vars(g.cond) <= {*sizes}]
            if not Domain({}, [cond, *known], sizes=sizes, assume=assume).is_empty():
                return True
        return False

    def _fast(self, stmt: Stmt, around: tuple[For, ...]) -> Stmt:
        """*stmt* without the guards that the condition makes superfluous."""
        match stmt:
            case For(body=body):
                return replace(stmt, body=self._fast(body, (*around, stmt)))
            case Seq(body=items):
                return replace(stmt, body=tuple(self._fast(item, around) for item in items))
            case Leaf(guards=guards):
                kept = tuple(g for g in guards if g.cond is self.cond or not self._holds(g, around))
                return replace(stmt, guards=kept)
            case _:
                return stmt

    def _holds(self, guard: Guard, around: tuple[For, ...]) -> bool:
        ranges: dict[Var, Expr | int] = {
            part.var: part.extent for loop in around for part in loop.levels
        }
        program = self.edit.program
        domain = Domain(ranges, [self.cond], sizes=program.sizes, assume=program.assume)
        return domain.proves(guard.cond)


def _opposite(cond: Expr) -> Expr:
    match cond:
        case Binary(op=op, a=a, b=b) if op in _OPPOSITE:
            return Binary(_OPPOSITE[op], a, b)
        case _:
            return Unary(UnaryOp.NOT, cond)
