"""Writing LLVM IR as text: modules, functions, blocks, and value numbering of pure instructions.

Text is quicker to make and to parse than a tree of Python objects. An instruction without effects
whose text was seen before, in a block that dominates this one, is not written again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tdsl.codegen.llvm.types import Value, lane_count, literal, suffix, vector


class Module:
    """Functions, declarations and constants of one module."""

    def __init__(self) -> None:
        self._functions: list[str] = []
        self._declarations: dict[str, str] = {}
        self._globals: dict[str, str] = {}
        self._names: dict[str, int] = {}
        self._metadata: dict[str, str] = {}

    def declare(self, name: str, signature: str) -> None:
        """Declare a function once; `signature` is what follows `declare`."""
        self._declarations[name] = signature

    def define_global(self, name: str, text: str) -> str:
        """Define a module-level constant once and return its name."""
        self._globals[name] = text
        return f"@{name}"

    def define_rare_branch(self) -> None:
        """Note that a branch refers to the weights `!0`."""
        self._metadata["!0"] = '!{!"branch_weights", i32 1, i32 1048576}'

    def define_nontemporal(self) -> None:
        """Note that a store refers to the mark `!1`."""
        self._metadata["!1"] = "!{i32 1}"

    def add(self, text: str) -> None:
        """Append a finished function."""
        self._functions.append(text)

    def unique(self, stem: str) -> str:
        """A function name not used before."""
        count = self._names.get(stem, 0)
        self._names[stem] = count + 1
        return f"{stem}.{count}"

    def text(self, triple: str) -> str:
        """The whole module."""
        parts = [f'target triple = "{triple}"']
        parts += [f"@{name} = {text}" for name, text in self._globals.items()]
        parts += self._functions
        parts += [f"declare {text}" for text in self._declarations.values()]
        parts += [f"{name} = {text}" for name, text in self._metadata.items()]
        return "\n".join(parts) + "\n"


class Builder:
    """One function being written."""

    def __init__(self, module: Module, head: str) -> None:
        self.module = module
        self._head = head
        self._entry: list[str] = []
        self._lines: list[str] = []
        self._count = 0
        self._scopes: list[dict[str, Value]] = [{}]
        self._loads: dict[str, tuple[object, Value]] = {}
        self.block = "entry"

    # -- instructions -------------------------------------------------------------------------

    def fresh(self) -> str:
        """A new register name."""
        self._count += 1
        return f"%v{self._count}"

    def emit(self, text: str, type_: str) -> Value:
        """Write an instruction that must not be shared."""
        name = self.fresh()
        self._lines.append(f"  {name} = {text}")
        return Value(name, type_)

    def pure(self, text: str, type_: str) -> Value:
        """Write an instruction without effects, or find the one written before."""
        for scope in reversed(self._scopes):
            found = scope.get(text)
            if found is not None:
                return found
        value = self.emit(text, type_)
        self._scopes[-1][text] = value
        return value

    def effect(self, text: str) -> None:
        """Write an instruction that gives no value."""
        self._lines.append(f"  {text}")

    def load(self, pointer: Value, type_: str, align: int, owner: object) -> Value:
        """Read memory; the same read again, with no store to `owner` between, is shared."""
        return self.read(f"load {type_}, {pointer.typed}, align {align}", type_, owner)

    def read(self, text: str, type_: str, owner: object) -> Value:
        """An instruction that reads memory of `owner`, shared in the same way."""
        found = self._loads.get(text)
        if found is not None:
            return found[1]
        value = self.emit(text, type_)
        self._loads[text] = (owner, value)
        return value

    def store(self, value: Value, pointer: Value, align: int, owner: object) -> None:
        """Write memory."""
        self.effect(f"store {value.typed}, {pointer.typed}, align {align}")
        self.forget(owner)

    def forget(self, owner: object) -> None:
        """Drop what is known of the contents of `owner`'s memory."""
        stale = [text for text, (who, _) in self._loads.items() if who is owner]
        for text in stale:
            del self._loads[text]

    def alloca(self, type_: str, align: int) -> Value:
        """Reserve stack memory in the entry block."""
        name = self.fresh()
        self._entry.append(f"  {name} = alloca {type_}, align {align}")
        return Value(name, "ptr")

    def intrinsic(self, name: str, type_: str, *args: Value, over: str = "") -> Value:
        """Call a pure LLVM intrinsic overloaded on its result type, or on `over`."""
        full = f"llvm.{name}.{suffix(over or type_)}"
        self.module.declare(full, f"{type_} @{full}({', '.join(a.type for a in args)})")
        return self.pure(f"call {type_} @{full}({', '.join(a.typed for a in args)})", type_)

    # -- common pure instructions ---------------------------------------------------------------

    def binary(self, op: str, a: Value, b: Value) -> Value:
        """`op a, b` with the type of the operands."""
        folded = _fold(op, a, b)
        return folded if folded is not None else self.pure(f"{op} {a.typed}, {b.text}", a.type)

    def icmp(self, predicate: str, a: Value, b: Value) -> Value:
        """Compare integers or pointers."""
        type_ = vector("i1", lane_count(a.type))
        return self.pure(f"icmp {predicate} {a.typed}, {b.text}", type_)

    def fcmp(self, predicate: str, a: Value, b: Value) -> Value:
        """Compare floats."""
        return self.pure(f"fcmp {predicate} {a.typed}, {b.text}", vector("i1", lane_count(a.type)))

    def select(self, cond: Value, a: Value, b: Value) -> Value:
        """Choose lane by lane; both arms have been computed."""
        if a == b:
            return a
        return self.pure(f"select {cond.typed}, {a.typed}, {b.typed}", a.type)

    def convert(self, op: str, a: Value, type_: str) -> Value:
        """`op a to type`; nothing where the type already fits."""
        if a.type == type_:
            return a
        return self.pure(f"{op} {a.typed} to {type_}", type_)

    def broadcast(self, a: Value, lanes: int) -> Value:
        """Repeat a scalar in every lane."""
        if lane_count(a.type) == lanes:
            return a
        type_ = vector(a.type, lanes)
        if not a.text.startswith("%"):
            return Value(f"splat ({a.typed})", type_)
        first = self.pure(f"insertelement {type_} poison, {a.typed}, i32 0", type_)
        zeros = vector("i32", lanes)
        return self.pure(
            f"shufflevector {first.typed}, {type_} poison, {zeros} zeroinitializer", type_
        )

    def extract(self, a: Value, lane: int, scalar: str) -> Value:
        """One lane of a vector."""
        return self.pure(f"extractelement {a.typed}, i32 {lane}", scalar)

    def address(self, base: Value, index: Value, type_: str) -> Value:
        """The address of element `index` of an array of `type_`."""
        if index.text == "0":
            return base
        return self.pure(f"getelementptr {type_}, {base.typed}, {index.typed}", "ptr")

    def reserve(self) -> int:
        """Leave room for an instruction whose operands are not known yet."""
        self._lines.append("")
        return len(self._lines) - 1

    def fill(self, place: int, text: str) -> None:
        """Write the instruction for which room was left."""
        self._lines[place] = f"  {text}"

    # -- control flow ---------------------------------------------------------------------------

    def label(self, hint: str) -> str:
        """A new block name."""
        self._count += 1
        return f"{hint}{self._count}"

    def start(self, label: str) -> None:
        """Begin a block. What was loaded before may have changed when it runs."""
        self._lines.append(f"{label}:")
        self.block = label
        self._loads.clear()

    def jump(self, label: str) -> None:
        """End the block."""
        self.effect(f"br label %{label}")

    def branch(self, cond: Value, then: str, otherwise: str, *, unlikely: bool = False) -> None:
        """End the block with a choice; `unlikely` says that `then` is rare."""
        weights = ", !prof !0" if unlikely else ""
        self.effect(f"br i1 {cond.text}, label %{then}, label %{otherwise}{weights}")
        if unlikely:
            self.module.define_rare_branch()

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Values numbered inside are not seen after: their block need not dominate."""
        self._scopes.append({})
        try:
            yield
        finally:
            self._scopes.pop()

    @contextmanager
    def when(self, cond: Value, hint: str = "then", *, unlikely: bool = False) -> Iterator[None]:
        """Write a block that runs only where `cond` holds."""
        inside, after = self.label(hint), self.label("end")
        self.branch(cond, inside, after, unlikely=unlikely)
        self.start(inside)
        with self.scope():
            yield
        self.jump(after)
        self.start(after)

    def finish(self) -> None:
        """Add the function to the module; its last block must have been ended."""
        lines = [self._head + " {", "entry:", *self._entry, *self._lines, "}"]
        self.module.add("\n".join(lines))


def _fold(op: str, a: Value, b: Value) -> Value | None:
    """Trivial integer arithmetic, so that the text stays short."""
    if op not in ("add", "sub", "mul") or a.type.startswith("<"):
        return None
    x, y = _integer(a), _integer(b)
    if x is not None and y is not None and a.type == "i64":
        result = {"add": x + y, "sub": x - y, "mul": x * y}[op]
        if -(1 << 63) <= result < 1 << 63:
            return literal(result, a.type)
    if y == 0:
        return b if op == "mul" else a
    if x == 0 and op == "add":
        return b
    if y == 1 and op == "mul":
        return a
    return None


def _integer(value: Value) -> int | None:
    text = value.text
    return int(text) if text.lstrip("-").isdigit() else None
