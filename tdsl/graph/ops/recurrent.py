"""Recurrences over time: RNN, GRU, LSTM, linear attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tdsl.graph.ir import Op
from tdsl.graph.ops.elementwise import FUNCTIONS, static
from tdsl.lang import mathfns as m, reduce
from tdsl.lang.compute import compute
from tdsl.lang.scan import Previous, scan
from tdsl.lang.tensor import Tensor, reduce_axis, scan_axis
from tdsl.lang.value import Value, cast, maximum, minimum, select


class Cell(Enum):
    """What happens at a step, and how many gates it has."""

    RNN = "rnn"
    GRU = "gru"
    LSTM = "lstm"

    @property
    def gates(self) -> int:
        """Matrices that are stacked in the weights."""
        return {Cell.RNN: 1, Cell.GRU: 3, Cell.LSTM: 4}[self]


@dataclass(frozen=True, slots=True)
class Activation:
    """A function with its numbers, applied to gates."""

    function: str
    numbers: tuple[float, ...] = ()

    def __call__(self, x: Value) -> Value:
        return FUNCTIONS[self.function](x, *self.numbers)


@dataclass(frozen=True, slots=True)
class Recurrence(Op):
    """One direction of a recurrent layer.

    Operands: gates of the input [time, batch, gates * hidden] (x W' and both biases, but for a GRU
    that is `linear_before_reset` without the last gate's recurrent one), recurrent weights
    [gates * hidden, hidden], the first state [batch, hidden], and as far as there are: the first
    cell, lengths [batch], peepholes [3 * hidden], the recurrent bias [gates * hidden].
    Results: the state of each step [time, batch, hidden] (0 beyond a length), the last one, and of
    an LSTM the last cell.
    """

    cell: Cell
    activations: tuple[Activation, ...]
    clip: float = 0.0
    backward: bool = False
    has_lengths: bool = False
    has_peepholes: bool = False
    linear_before_reset: bool = False
    coupled: bool = False  # the forget gate of an LSTM is 1 - the input gate

    @property
    def name(self) -> str:
        return self.cell.value

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        gates, weights, first, *others = inputs
        rest = iter(others)
        cell = next(rest) if self.cell is Cell.LSTM else None
        lengths = next(rest) if self.has_lengths else None
        peepholes = next(rest) if self.has_peepholes else None
        bias = next(rest, None)
        steps, batch, _ = static(gates)
        hidden = static(weights)[1]
        t = scan_axis(steps, name="t")
        run = _Run(self, gates, weights, peepholes, bias, lengths, steps, hidden)
        shape = (batch, hidden)
        states = {"h": (shape, first)} | ({} if cell is None else {"c": (shape, cell)})
        out = scan(t, states=states, step=run.step, name=f"{name}.scan")

        def of_step(s: Value, b: Value, j: Value) -> Value:
            value = out["h"][(run.place(s, b) if self.backward else s, b, j)]
            return value if lengths is None else select(s < run.length(b), value, 0.0)

        results = [compute((steps, batch, hidden), of_step, name=name)]
        for key in states:
            last = out[key]
            results.append(
                compute(shape, lambda b, j, last=last: last[steps - 1, b, j], name=f"{name}.{key}")
            )
        return tuple(results)


@dataclass(frozen=True, slots=True)
class _Run:
    op: Recurrence
    gates: Tensor
    weights: Tensor
    peepholes: Tensor | None
    bias: Tensor | None
    lengths: Tensor | None
    steps: int
    hidden: int

    def length(self, b: Value) -> Value:
        """How many steps a sequence has."""
        assert self.lengths is not None
        return cast(self.lengths[b], "int64")

    def place(self, t: Value, b: Value) -> Value:
        """Where step t of a sequence stands: from its end where it runs backward."""
        if not self.op.backward:
            return t
        if self.lengths is None:
            return self.steps - 1 - t
        back = minimum(maximum(self.length(b) - 1 - t, 0), self.steps - 1)
        return select(t < self.length(b), back, t)

    def step(self, t: Any, prev: Mapping[str, Previous]) -> dict[str, object]:
        """The states after step t; beyond the end of a sequence they stay."""
        made = {Cell.RNN: self._rnn, Cell.GRU: self._gru, Cell.LSTM: self._lstm}[self.op.cell](
            t, prev
        )
        if self.lengths is None:
            return dict(made)

        def kept(key: str) -> Callable[[Value, Value], Value]:
            return lambda b, j: select(t < self.length(b), made[key](b, j), prev[key][b, j])

        return {key: kept(key) for key in made}

    def _product(self, prev: Previous | Tensor, gate: int, name: str) -> Tensor:
        """The state times the recurrent weights of a gate."""
        k = reduce_axis(self.hidden, name="k")
        return compute(
            (static(self.gates)[1], self.hidden),
            lambda b, j: reduce.sum(
                prev[b, k] * self.weights[gate * self.hidden + j, k], axis=k, dtype=self._dtype
            ),
            name=name,
        )

    @property
    def _dtype(self) -> str:
        return self.gates.dtype.name

    def _input(self, t: Any, gate: int, b: Value, j: Value) -> Value:
        return self.gates[self.place(t, b), b, gate * self.hidden + j]

    def _bounded(self, x: Value) -> Value:
        limit = self.op.clip
        return minimum(maximum(x, -limit), limit) if limit > 0 else x

    def _peep(self, x: Value, which: int, cell: Value, j: Value) -> Value:
        if self.peepholes is None:
            return x
        return x + self.peepholes[which * self.hidden + j] * cell

    def _rnn(self, t: Any, prev: Mapping[str, Previous]) -> dict[str, Any]:
        (f,) = self.op.activations
        product = self._product(prev["h"], 0, "product")
        return {"h": lambda b, j: f(self._bounded(self._input(t, 0, b, j) + product[b, j]))}

    def _gru(self, t: Any, prev: Mapping[str, Previous]) -> dict[str, Any]:
        f, g = self.op.activations
        shape = (static(self.gates)[1], self.hidden)

        def gate(n: int, name: str) -> Tensor:
            product = self._product(prev["h"], n, f"product{n}")
            return compute(
                shape,
                lambda b, j: f(self._bounded(self._input(t, n, b, j) + product[b, j])),
                name=name,
            )

        update, reset = gate(0, "update"), gate(1, "reset")
        if self.op.linear_before_reset:
            whole, bias = self._product(prev["h"], 2, "product2"), self.bias
            assert bias is not None

            def share(b: Value, j: Value) -> Value:
                return reset[b, j] * (whole[b, j] + bias[2 * self.hidden + j])

        else:
            part = compute(shape, lambda b, j: reset[b, j] * prev["h"][b, j], name="part")
            product = self._product(part, 2, "product2")

            def share(b: Value, j: Value) -> Value:
                return product[b, j]

        def state(b: Value, j: Value) -> Value:
            fresh = g(self._bounded(self._input(t, 2, b, j) + share(b, j)))
            return (1.0 - update[b, j]) * fresh + update[b, j] * prev["h"][b, j]

        return {"h": state}

    def _lstm(self, t: Any, prev: Mapping[str, Previous]) -> dict[str, Any]:
        f, g, h = self.op.activations
        products = [self._product(prev["h"], n, f"product{n}") for n in range(4)]
        shape = (static(self.gates)[1], self.hidden)

        def gate(n: int, b: Value, j: Value) -> Value:
            return self._input(t, n, b, j) + products[n][b, j]

        def cell(b: Value, j: Value) -> Value:
            old = prev["c"][b, j]
            enter = f(self._bounded(self._peep(gate(0, b, j), 0, old, j)))
            keep = f(self._bounded(self._peep(gate(2, b, j), 2, old, j)))
            keep = 1.0 - enter if self.op.coupled else keep
            return keep * old + enter * g(self._bounded(gate(3, b, j)))

        fresh = compute(shape, cell, name="cell")

        def state(b: Value, j: Value) -> Value:
            now = fresh[b, j]
            return f(self._bounded(self._peep(gate(1, b, j), 1, now, j))) * h(now)

        return {"h": state, "c": lambda b, j: fresh[b, j]}


@dataclass(frozen=True, slots=True)
class LinearAttention(Op):
    """Queries that read a state of keys times values.

    At each step the state decays by e**decay (`gated`), then the key times the value is added, the
    value less what the key reads already and times beta (`delta`).
    Operands: queries, keys and values [batch, time, heads * width], the first state, and as far as
    used decay and beta. Results: what is read, and the last state.
    """

    heads: int
    states: int
    gated: bool
    delta: bool
    scale: float

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        q, k, v, first, *others = inputs
        rest = iter(others)
        decay = next(rest) if self.gated else None
        beta = next(rest) if self.delta else None
        batch, steps, columns = static(q)
        depth, width = columns // self.heads, static(v)[2] // self.states
        group = self.heads // self.states
        shape = (batch, self.states, depth, width)
        t = scan_axis(steps, name="t")
        states = {"s": (shape, lambda b, h, d, e: _wide(first[b, h, d, e]))}
        run = _Memory(k, v, decay, beta, shape)
        out = scan(t, states=states, step=run.step, name=f"{name}.scan")["s"]
        d = reduce_axis(depth, name="d")

        def read(b: Value, s: Value, h: Value, e: Value) -> Value:
            key = h if group == 1 else h // group
            return reduce.sum(_wide(q[b, s, h * depth + d]) * out[s, b, key, d, e], axis=d)

        seen = compute((batch, steps, self.heads, width), read, name=f"{name}.read")
        made = compute(
            (batch, steps, self.heads * width),
            lambda b, s, c: cast(seen[b, s, c // width, c % width] * self.scale, q.dtype),
            name=name,
        )
        last = compute(
            shape,
            lambda b, h, x, e: cast(out[steps - 1, b, h, x, e], first.dtype),
            name=f"{name}.state",
        )
        return made, last


def _wide(x: Value) -> Value:
    return cast(x, "float32")


@dataclass(frozen=True, slots=True)
class _Memory:
    """The state of linear attention: keys times values [batch, states, depth, width]."""

    keys: Tensor
    values: Tensor
    decay: Tensor | None
    beta: Tensor | None
    shape: tuple[int, int, int, int]

    def step(self, t: Any, prev: Mapping[str, Previous]) -> dict[str, object]:
        """The state after step t: it fades, then a key's value is added."""
        batch, states, depth, width = self.shape

        def faded(b: Value, h: Value, d: Value, e: Value) -> Value:
            if self.decay is None:
                return prev["s"][b, h, d, e]
            each = static(self.decay)[2] != states
            rate = self.decay[b, t, h * depth + d if each else h]
            return prev["s"][b, h, d, e] * m.exp(_wide(rate))

        state = compute(self.shape, faded, name="faded")
        found: Tensor | None = None
        if self.beta is not None:
            r = reduce_axis(depth, name="r")
            found = compute(
                (batch, states, width),
                lambda b, h, e: reduce.sum(state[b, h, r, e] * self._key(b, t, h, r), axis=r),
                name="found",
            )

        def value(b: Value, h: Value, e: Value) -> Value:
            own = _wide(self.values[b, t, h * width + e])
            if found is None or self.beta is None:
                return own
            share = self.beta[b, t, h if static(self.beta)[2] > 1 else 0]
            return _wide(share) * (own - found[b, h, e])

        return {"s": lambda b, h, d, e: state[b, h, d, e] + self._key(b, t, h, d) * value(b, h, e)}

    def _key(self, b: Value, t: Any, h: Value, d: Value) -> Value:
        return _wide(self.keys[b, t, h * self.shape[2] + d])
