"""Converters: Fourier transforms; windows and other tables that follow from numbers alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Array, Value
from tdsl.graph.onnx_import.call import Call, operator
from tdsl.graph.onnx_import.load import ELEMENT_TYPES
from tdsl.graph.ops.movement import Concat, Gather
from tdsl.graph.ops.signal import Fourier, ShortTimeFourier

_WINDOWS: dict[str, Sequence[float]] = {
    "HannWindow": (0.5, 0.5), "HammingWindow": (25 / 46, 21 / 46),
    "BlackmanWindow": (0.42, 0.5, 0.08),
}  # fmt: skip


@operator("DFT")
def fourier(call: Call) -> Value:
    """Along one axis; `onesided` keeps half of the bins, or starts from that half (inverse)."""
    x, g = call[0], call.graph
    rank = len(x.shape)
    older = call.opset < 20
    axis = call.integer("axis", 1) if older else (call.integers(2)[0] if call.has(2) else -2)
    place = call.front(axis, rank)
    inverse, half = bool(call.integer("inverse")), bool(call.integer("onesided"))
    length = call.integers(1)[0] if call.has(1) else x.shape[place]
    if inverse and half:
        if not call.has(1):
            length = 2 * (x.shape[place] - 1)
        x = _whole_spectrum(call, x, place, length)
    if place == rank - 1 or length < 1:
        raise GraphError(f"DFT of {length} along axis {place} of {rank}")
    # sums of so many terms cancel: in float32 they would be off by more than a fast transform
    cosines, sines = _tables(*call.bounded(length, length), inverse=inverse)
    if half and not inverse:
        cosines, sines = (t[:, : length // 2 + 1] for t in (cosines, sines))
    op = Fourier(place, inverse and half)
    return g.one(op, x, g.constant(cosines), g.constant(sines))


def _whole_spectrum(call: Call, x: Value, axis: int, length: int) -> Value:
    """The bins that a real signal's first half tells: the others are their conjugates."""
    g = call.graph
    kept = length // 2 + 1
    if x.shape[axis] < kept or x.shape[-1] != 2:
        raise GraphError(f"DFT: {x.shape[axis]} bins of {length}")
    first = g.one(Gather(axis), x, g.constant(np.arange(kept)))
    rest = np.arange(length - kept, 0, -1)
    if not rest.size:
        return first
    signs = g.constant(np.asarray([1, -1], x.dtype.numpy))
    mirrored = g.apply("mul", g.one(Gather(axis), x, g.constant(rest)), signs)
    return g.one(Concat(axis), first, mirrored)


def _tables(terms: int, bins: int, *, inverse: bool) -> tuple[Array, Array]:
    turns = np.outer(np.arange(terms), np.arange(bins)) % terms
    angles = 2 * np.pi * turns / terms * (1 if inverse else -1)
    share = 1 / terms if inverse else 1
    return np.cos(angles) * share, np.sin(angles) * share


@operator("STFT")
def short_time_fourier(call: Call) -> Value:
    """Of frames that begin at multiples of the step."""
    x, g = call[0], call.graph
    if len(x.shape) == 2:
        x = g.reshape(x, (*x.shape, 1))
    step = call.integers(1)[0]
    length = call.integers(3)[0] if call.has(3) else call[2].shape[0]
    kind = np.float64 if x.dtype.bits == 64 else np.float32
    window = call[2] if call.has(2) else g.constant(np.ones(length, kind))
    if step < 1 or not 1 <= length <= x.shape[1] or window.shape != (length,):
        raise GraphError(f"STFT: frames of {length}, {step} apart, of {x.shape[1]}")
    cosines, sines = (t.astype(kind) for t in _tables(*call.bounded(length, length), inverse=False))
    if call.integer("onesided", 1):
        cosines, sines = (t[:, : length // 2 + 1] for t in (cosines, sines))
    op = ShortTimeFourier(step, (x.shape[1] - length) // step + 1)
    return g.one(op, x, window, g.constant(cosines), g.constant(sines))


@operator(*_WINDOWS)
def window(call: Call) -> Value:
    """Sums of cosines; periodic or symmetric."""
    (size,) = call.integers(0)
    if not 0 <= size <= 1 << 24:
        raise GraphError(f"{call.op_type} of {size} elements")
    span = size if call.integer("periodic", 1) else size - 1
    angles = 2 * np.pi * np.arange(size) / max(1, span)
    made = np.zeros(size)
    for n, factor in enumerate(_WINDOWS[call.op_type]):
        made += (-1) ** n * factor * np.cos(n * angles)
    return call.graph.constant(made.astype(_output_type(call)))


def _output_type(call: Call) -> np.dtype[np.generic]:
    number = call.integer("output_datatype", 1)
    if number not in ELEMENT_TYPES:
        raise GraphError(f"{call.op_type} of element type {number} is not supported")
    return ELEMENT_TYPES[number]


@operator("MelWeightMatrix")
def mel_weights(call: Call) -> Value:
    """Triangles over frequencies, evenly apart as they are heard."""
    bands, length, rate = (call.integers(n)[0] for n in range(3))
    low, high = (call.number(n) for n in (3, 4))
    if not (1 <= bands <= 1 << 16 and 1 <= length <= 1 << 24 and rate > 0):
        raise GraphError(f"MelWeightMatrix of {bands} bands and {length} bins")
    rows = length // 2 + 1
    first, last = (2595 * np.log10(1 + f / 700) for f in (low, high))
    edges = first + np.arange(bands + 2) * (last - first) / (bands + 2)  # as the standard has it
    bins = ((length + 1) * (700 * (10 ** (edges / 2595) - 1)) // rate).astype(np.int64)
    made = np.zeros((rows, bands))
    for n in range(bands):
        start, middle, end = (int(b) for b in bins[n : n + 3])
        if middle == start:
            made[middle : middle + 1, n] = 1
        else:
            made[start : middle + 1, n] = (np.arange(start, middle + 1) - start) / (middle - start)
        if end > middle:
            made[middle:end, n] = (end - np.arange(middle, end)) / (end - middle)
    return call.graph.constant(made.astype(_output_type(call)))
