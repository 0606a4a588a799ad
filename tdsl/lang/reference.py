"""`td.reference`: evaluate an algorithm with numpy, sharing no code with lowering.

Every stage is evaluated over its whole iteration domain at once; scans step along their axis,
updates run one point after the other. Float sums accumulate in float64 and round at the end, so
results are closer to the real numbers than those of any schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tdsl.dtypes import DType
from tdsl.errors import DeclarationError, InternalError, TypeMismatch
from tdsl.ir.expr import (
    Binary,
    Bitcast,
    Buffer,
    Cast,
    Checked,
    Const,
    Expr,
    Extern,
    Fma,
    Load,
    Math,
    Select,
    Unary,
    Var,
)  # fmt: skip
from tdsl.ir.foreign import as_python
from tdsl.ir.stmt import (
    Alloc,
    Block,
    BlockKind,
    For,
    IterKind,
    IterVar,
    Leaf,
    Param,
    Role,
    Seq,
    Stmt,
)
from tdsl.ir.visit import leaves, walk
from tdsl.lang import reference_values as values
from tdsl.lang.func import Func
from tdsl.lang.reference_values import Array

_CHUNK = 1 << 22  # elements of a block's domain evaluated at once


def reference(func: Func) -> Callable[..., object]:
    """The algorithm as a numpy function: arrays in, one array out (several: a tuple).

    Sizes that no argument fixes are keywords. Shares no code with lowering: it is the oracle of
    the test suite. Outputs have the algorithm's dtypes; inout arguments are not changed, their new
    value is returned.

    >>> import tdsl as td
    >>> x = td.placeholder((3,), "float32", name="x")
    >>> y = td.compute((3,), lambda i: x[i] * x[i], name="y")
    >>> td.reference(td.func("squares", [x], [y]))(np.array([1, 2, 3], np.float32))
    array([1., 4., 9.], dtype=float32)

    Raises:
        TypeMismatch: wrong number or dtypes of arrays.
        DeclarationError: shapes that do not fit each other.
        IndexError: a data-dependent index outside its tensor.
    """

    def run(*arrays: object, **sizes: int) -> object:
        evaluation = _Evaluation(func, arrays, sizes)
        with np.errstate(all="ignore"):
            evaluation.run(func.program.body, {})
        if evaluation.out_of_range is not None:
            raise IndexError(evaluation.out_of_range)
        results = [evaluation.memory[t.buffer] for t in func.outputs]
        return results[0] if len(results) == 1 else tuple(results)

    return run


class _Evaluation:
    def __init__(self, func: Func, arrays: Sequence[object], sizes: Mapping[str, int]) -> None:
        self.memory: dict[Buffer, Array] = {}
        self.env: dict[Var, int] = {}
        self.out_of_range: str | None = None
        if len(arrays) != len(func.inputs):
            raise TypeMismatch(f"{func.name} takes {len(func.inputs)} arrays, got {len(arrays)}")
        given = [np.asarray(a) for a in arrays]
        for tensor, array in zip(func.inputs, given, strict=True):
            if array.dtype != tensor.dtype.numpy and array.shape != ():
                raise TypeMismatch(f"{tensor.name} is {tensor.dtype}, got {array.dtype}")
            if array.ndim != tensor.ndim:
                raise TypeMismatch(f"{tensor.name} has {tensor.ndim} dimensions, got {array.ndim}")
        by_name = {v.name: v for v in func.sizes}
        for name, n in sizes.items():
            if name not in by_name:
                raise TypeMismatch(f"{func.name} has no size {name!r}")
            self.env[by_name[name]] = n
        self._solve([(t.buffer, a.shape) for t, a in zip(func.inputs, given, strict=True)], func)
        for tensor, array in zip(func.inputs, given, strict=True):
            self.memory[tensor.buffer] = array.astype(tensor.dtype.numpy, copy=True)
        for param in func.program.params:
            self._allocate_output(param)

    def _allocate_output(self, param: Param) -> None:
        if param.role is Role.OUT:
            self.memory[param.buffer] = self._fresh(param.buffer)

    def _fresh(self, buffer: Buffer) -> Array:
        shape = tuple(max(0, self._size(e)) for e in buffer.shape)
        return np.zeros(shape, buffer.dtype.numpy)

    def _solve(self, shapes: Sequence[tuple[Buffer, tuple[int, ...]]], func: Func) -> None:
        for buffer, shape in shapes:
            for e, n in zip(buffer.shape, shape, strict=True):
                if isinstance(e, Var):
                    self.env.setdefault(e, n)
        self._solve_affine(shapes)
        missing = [v.name for v in func.sizes if v not in self.env]
        if missing:
            raise TypeMismatch(f"{func.name}: no argument fixes the sizes {', '.join(missing)}")
        for buffer, shape in shapes:
            wanted = tuple(self._size(e) for e in buffer.shape)
            if wanted != shape:
                raise DeclarationError(f"{buffer.name} must have shape {wanted}, got {shape}")

    def _solve_affine(self, shapes: Sequence[tuple[Buffer, tuple[int, ...]]]) -> None:
        """Extents such as N + 2 fix N where nothing else did."""
        for buffer, shape in shapes:
            for e, n in zip(buffer.shape, shape, strict=True):
                unknown = [v for v in walk(e) if isinstance(v, Var) and v not in self.env]
                if len(unknown) == 1:
                    at0, at1 = (self._size(e, {unknown[0]: x}) for x in (0, 1))
                    if at1 != at0:
                        self.env[unknown[0]] = (n - at0) // (at1 - at0)

    def _size(self, e: Expr, extra: Mapping[Var, int] | None = None) -> int:
        env = {**self.env, **(extra or {})}
        grid = {v: np.asarray(n, np.int64) for v, n in env.items()}
        return int(self._eval(e, grid))

    def run(self, stmt: Stmt, outer: dict[Var, int]) -> None:
        """Run a canonical nest; loops above ordered blocks step, the rest is done at once."""
        match stmt:
            case Seq(body=body):
                for child in body:
                    self.run(child, outer)
            case Alloc(buffer=buffer, body=body):
                self.memory[buffer] = self._fresh(buffer)
                self.run(body, outer)
            case For(var=var, extent=extent, body=body):
                if _is_step(var, body):
                    for n in range(self._size(extent)):
                        self.run(body, {**outer, var: n})
                else:
                    self.run(body, outer)
            case Leaf(block=block, bindings=bindings):
                self._block(block, dict(zip(block.vars, bindings, strict=True)), outer)
            case _:
                raise InternalError(f"no reference for {type(stmt).__name__}")

    def _block(self, block: Block, bindings: Mapping[Var, Expr], outer: dict[Var, int]) -> None:
        fixed = {v: outer[e] for v, e in bindings.items() if isinstance(e, Var) and e in outer}
        extents = {it.var: self._size(it.extent) for it in block.iters if it.var not in fixed}
        if block.kind is BlockKind.UPDATE:
            self._update(block, extents)
            return
        if block.init is not None:
            inner = {new.var: fixed[old.var] for new, old in self._data(block) if old.var in fixed}
            spans = {
                new.var: extents[old.var] for new, old in self._data(block) if old.var in extents
            }
            self._assign(block.init, inner, spans)
        if 0 in extents.values():
            return
        if block.kind is BlockKind.REDUCE:
            self._reduce(block, fixed, extents)
        else:
            self._assign(block, fixed, extents)

    def _data(self, block: Block) -> list[tuple[IterVar, IterVar]]:
        assert block.init is not None
        old = [it for it in block.iters if it.kind is not IterKind.REDUCE]
        return list(zip(block.init.iters, old, strict=True))

    def _grid(self, fixed: Mapping[Var, int], extents: Mapping[Var, int]) -> dict[Var, Array]:
        grid: dict[Var, Array] = {v: np.asarray(n, np.int64) for v, n in self.env.items()}
        grid.update({v: np.asarray(n, np.int64) for v, n in fixed.items()})
        rank = len(extents)
        for axis, (v, n) in enumerate(extents.items()):
            shape = [1] * rank
            shape[axis] = n
            grid[v] = np.arange(n, dtype=np.int64).reshape(shape)
        return grid

    def _assign(self, block: Block, fixed: Mapping[Var, int], extents: Mapping[Var, int]) -> None:
        if 0 in extents.values():
            return
        grid = self._grid(fixed, extents)
        shape = tuple(extents.values())
        results = [np.broadcast_to(self._eval(w.value, grid), shape) for w in block.writes]
        for write, result in zip(block.writes, results, strict=True):
            at = tuple(np.broadcast_to(self._eval(i, grid), shape) for i in write.indices)
            self.memory[write.buffer][at] = result

    def _reduce(self, block: Block, fixed: Mapping[Var, int], extents: Mapping[Var, int]) -> None:
        kinds = {it.var: it.kind for it in block.iters}
        data = {v: n for v, n in extents.items() if kinds[v] is not IterKind.REDUCE}
        axes = {v: n for v, n in extents.items() if kinds[v] is IterKind.REDUCE}
        reducer = block.reducer
        assert reducer is not None
        summed = reducer.name in ("sum", "prod", "min", "max", "any", "all")
        inner = int(np.prod(list(axes.values()), dtype=np.int64))
        first = next(iter(data), None)
        if first is None or not summed:
            (self._reduce_at_once if summed else self._reduce_in_order)(block, fixed, data, axes)
            return
        rest = inner * int(np.prod([n for v, n in data.items() if v is not first], dtype=np.int64))
        step = max(1, _CHUNK // max(1, rest))
        for start in range(0, data[first], step):
            count = min(step, data[first] - start)
            self._reduce_at_once(block, fixed, {**data, first: count}, axes, {first: start})

    def _reduce_at_once(
        self, block: Block, fixed: Mapping[Var, int], data: Mapping[Var, int],
        axes: Mapping[Var, int], start: Mapping[Var, int] | None = None,
    ) -> None:  # fmt: skip
        assert block.reducer is not None
        grid = self._grid(fixed, {**data, **axes})
        for v, n in (start or {}).items():
            grid[v] = grid[v] + n
        full = (*data.values(), *axes.values())
        source = np.broadcast_to(self._eval(block.sources[0], grid), full)
        dtype = block.sources[0].dtype
        identity = self._eval(block.reducer.identity[0], {})
        if block.where is not None:
            source = np.where(
                np.broadcast_to(self._eval(block.where, grid), full), source, identity
            )
        over = tuple(range(len(data), len(full)))
        wide = source.astype(np.float64) if dtype.is_float and dtype.bits < 64 else source
        table = {
            "sum": np.add, "prod": np.multiply, "min": np.minimum, "max": np.maximum,
            "any": np.logical_or, "all": np.logical_and,
        }  # fmt: skip
        keep = wide.dtype
        result = table[block.reducer.name].reduce(wide, axis=over, dtype=keep)
        self._put(block, 0, fixed, data, start, values.wrap(result, dtype))

    def _put(
        self, block: Block, n: int, fixed: Mapping[Var, int], data: Mapping[Var, int],
        start: Mapping[Var, int] | None, result: Array,
    ) -> None:  # fmt: skip
        grid = self._grid(fixed, data)
        for v, offset in (start or {}).items():
            grid[v] = grid[v] + offset
        shape = tuple(data.values())
        write = block.writes[n]
        at = tuple(np.broadcast_to(self._eval(i, grid), shape) for i in write.indices)
        self.memory[write.buffer][at] = np.broadcast_to(result, shape)

    def _reduce_in_order(
        self, block: Block, fixed: Mapping[Var, int], data: Mapping[Var, int],
        axes: Mapping[Var, int],
    ) -> None:  # fmt: skip
        """Fold a reducer of the user's own (or argmax) point by point, all elements at once."""
        reducer = block.reducer
        assert reducer is not None
        shape = tuple(data.values())
        state = [np.broadcast_to(self._eval(e, {}), shape) for e in reducer.identity]
        for point in np.ndindex(*axes.values()):
            at = {**fixed, **dict(zip(axes, point, strict=True))}
            grid = self._grid(at, data)
            new = [np.broadcast_to(self._eval(s, grid), shape) for s in block.sources]
            operands = dict(zip(reducer.left, state, strict=True))
            operands.update(zip(reducer.right, new, strict=True))
            combined = [np.broadcast_to(self._eval(e, operands), shape) for e in reducer.combine]
            if block.where is not None:
                taken = np.broadcast_to(self._eval(block.where, grid), shape)
                combined = [np.where(taken, c, s) for c, s in zip(combined, state, strict=True)]
            state = combined
        for n, result in enumerate(state):
            self._put(block, n, fixed, data, None, result)

    def _update(self, block: Block, extents: Mapping[Var, int]) -> None:
        for point in np.ndindex(*extents.values()):
            grid = self._grid(dict(zip(extents, point, strict=True)), {})
            if block.where is not None and not self._eval(block.where, grid):
                continue
            done = [
                (
                    w.buffer,
                    tuple(int(self._eval(i, grid)) for i in w.indices),
                    self._eval(w.value, grid),
                )
                for w in block.writes
            ]
            for buffer, at, result in done:
                self.memory[buffer][at] = result

    def _eval(self, e: Expr, grid: Mapping[Var, Array]) -> Array:
        match e:
            case Const(value=value, type=dtype):
                return np.asarray(value, dtype.numpy)
            case Var():
                return grid[e]
            case Binary(op=op, a=a, b=b):
                return values.binary(op, self._eval(a, grid), self._eval(b, grid), a.dtype)
            case Unary(op=op, a=a):
                return values.unary(op, self._eval(a, grid), a.dtype)
            case Fma(a=a, b=b, c=c):
                parts = [self._eval(x, grid) for x in (a, b, c)]
                return values.fma(parts[0], parts[1], parts[2], e.dtype)
            case Select(cond=cond, a=a, b=b):
                return np.where(self._eval(cond, grid), self._eval(a, grid), self._eval(b, grid))
            case Cast(a=a, type=dtype):
                return values.cast(self._eval(a, grid), a.dtype, dtype)
            case Bitcast(a=a, type=dtype):
                return self._eval(a, grid).view(dtype.numpy)
            case Math(fn=fn, args=args):
                return values.math_call(fn, [self._eval(x, grid) for x in args], e.dtype)
            case Extern(symbol=symbol, args=args):
                call = as_python(symbol, [a.dtype for a in args], e.dtype)
                return _each(call, [self._eval(a, grid) for a in args], e.dtype)
            case Load(buffer=buffer, indices=indices):
                return self._load(buffer, [self._eval(i, grid) for i in indices])
            case Checked(index=index, extent=extent):
                return self._checked(self._eval(index, grid), self._eval(extent, grid))
            case _:
                raise InternalError(f"no reference for {type(e).__name__}")

    def _load(self, buffer: Buffer, indices: Sequence[Array]) -> Array:
        """Elements at indices; those outside read as zero: they stand in an arm not taken."""
        memory = self.memory[buffer]
        if not indices:
            return memory.reshape(())
        grids = np.broadcast_arrays(*indices)
        inside = np.ones(grids[0].shape, np.bool_)
        for index, n in zip(grids, memory.shape, strict=True):
            inside &= (index >= 0) & (index < n)
        if memory.size == 0:
            return np.zeros(grids[0].shape, memory.dtype)
        found = memory[tuple(np.where(inside, index, 0) for index in grids)]
        return np.where(inside, found, np.zeros((), memory.dtype))

    def _checked(self, index: Array, extent: Array) -> Array:
        bad = (index < 0) | (index >= extent)
        if np.any(bad) and self.out_of_range is None:
            worst = np.broadcast_to(index, bad.shape)[bad].flat[0]
            self.out_of_range = f"index {worst} is outside 0 <= index < {extent}"
        return np.clip(index, 0, np.maximum(extent - 1, 0))


def _each(call: Callable[..., object], args: Sequence[Array], dtype: DType) -> Array:
    """A function of scalars on arrays, element by element."""
    grids = np.broadcast_arrays(*args)
    shape = grids[0].shape if grids else ()
    found = [call(*(g[at].item() for g in grids)) for at in np.ndindex(shape)]
    return np.asarray(found, dtype.numpy).reshape(shape)


def _is_step(var: Var, body: Stmt) -> bool:
    """Whether a loop is the ordered one of a scan: its iterations depend on each other."""
    for leaf in leaves(body):
        if leaf.block.kind is BlockKind.UPDATE:
            continue
        for it, binding in zip(leaf.block.iters, leaf.bindings, strict=True):
            if it.kind is IterKind.ORDERED and binding is var:
                return True
    return False
