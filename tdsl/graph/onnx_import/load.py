"""Read a model: from a file with its external data, from bytes, or from a ModelProto."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from tdsl.errors import TypeMismatch
from tdsl.graph.errors import MissingPackageError, ModelFormatError
from tdsl.graph.ir import Array
from tdsl.graph.onnx_import.limits import DEFAULT, Limits

ELEMENT_TYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("float32"), 2: np.dtype("uint8"), 3: np.dtype("int8"), 4: np.dtype("uint16"),
    5: np.dtype("int16"), 6: np.dtype("int32"), 7: np.dtype("int64"), 9: np.dtype("bool"),
    10: np.dtype("float16"), 11: np.dtype("float64"), 12: np.dtype("uint32"),
    13: np.dtype("uint64"), 16: np.dtype(ml_dtypes.bfloat16),
}  # fmt: skip
"""numpy's types by the number that ONNX gives them."""

_EXTERNAL = 1  # TensorProto.DataLocation


def read_model(source: Any, limits: Limits = DEFAULT) -> tuple[Any, Path | None]:
    """A ModelProto and the folder of its external data, if it came from a file.

    Raises:
        ModelFormatError: no ONNX model, or larger than the limits.
        TypeMismatch: neither a path nor bytes nor a ModelProto.
        MissingPackageError: onnx is not installed.
    """
    is_path = isinstance(source, (str, Path))
    if is_path and not Path(source).is_file():
        raise ModelFormatError(f"there is no model file {source}")
    try:
        import onnx
    except ImportError as error:
        raise MissingPackageError(
            f"models are read with the package onnx: {error}", hint="pip install 'tdsl[onnx]'"
        ) from error

    if isinstance(source, onnx.ModelProto):
        return source, None
    folder: Path | None = None
    if is_path:
        path = Path(source)
        if path.stat().st_size > limits.file_bytes:
            raise ModelFormatError(
                f"{path} has {path.stat().st_size} bytes; models have up to {limits.file_bytes}"
            )
        data, folder = path.read_bytes(), path.resolve().parent
    elif isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
    else:
        raise TypeMismatch(
            f"a model is a path, bytes or an onnx.ModelProto, not {type(source).__name__}"
        )
    return _parse(data), folder


def _parse(data: bytes) -> Any:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no stubs

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise ModelFormatError(f"this is no ONNX model: {error}") from error
    if not model.graph.node and not model.graph.output:
        raise ModelFormatError("this is no ONNX model: it has no graph")
    return model


def tensor_array(tensor: Any, folder: Path | None, limits: Limits = DEFAULT) -> Array:
    """The elements of a TensorProto, its declared size checked before any memory is taken.

    Raises:
        ModelFormatError: sizes that contradict each other, a type without arrays, a path outside
            the model's folder.
    """
    name = tensor.name or "a constant"
    shape = tuple(int(n) for n in tensor.dims)
    dtype = ELEMENT_TYPES.get(tensor.data_type)
    if dtype is None:
        raise ModelFormatError(f"{name} has element type {tensor.data_type}, not one of numbers")
    if len(shape) > limits.rank or any(n < 0 for n in shape):
        raise ModelFormatError(f"{name} has the impossible shape {list(shape)}")
    nbytes = prod(shape) * dtype.itemsize
    if nbytes > limits.tensor_bytes:
        raise ModelFormatError(f"{name} of shape {list(shape)} would take {nbytes} bytes")
    if tensor.data_location == _EXTERNAL:
        return _external(tensor, folder, name, nbytes).view(dtype).reshape(shape)
    if tensor.HasField("raw_data"):
        if len(tensor.raw_data) != nbytes:
            raise ModelFormatError(
                f"{name} of shape {list(shape)} takes {nbytes} bytes, but has "
                f"{len(tensor.raw_data)}"
            )
        return np.frombuffer(tensor.raw_data, dtype).reshape(shape)
    return _listed(tensor, dtype, shape, name)


def _listed(tensor: Any, dtype: np.dtype[Any], shape: tuple[int, ...], name: str) -> Array:
    """Elements that are written one by one, in the field that their type has."""
    from onnx import numpy_helper

    field = {
        "float32": tensor.float_data, "float64": tensor.double_data, "int64": tensor.int64_data,
        "uint32": tensor.uint64_data, "uint64": tensor.uint64_data,
    }.get(dtype.name, tensor.int32_data)  # fmt: skip
    if len(field) != prod(shape):
        raise ModelFormatError(
            f"{name} of shape {list(shape)} has {prod(shape)} elements, but lists {len(field)}"
        )
    return np.asarray(numpy_helper.to_array(tensor)).astype(dtype, copy=False).reshape(shape)


def _external(tensor: Any, folder: Path | None, name: str, nbytes: int) -> Array:
    """Bytes of a file beside the model; nothing outside that folder is ever opened."""
    if folder is None:
        raise ModelFormatError(
            f"{name} is kept in a file beside the model",
            hint="pass the path of the model, so that the file can be found",
        )
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    path = (folder / location).resolve()
    if not location or Path(location).is_absolute() or not path.is_relative_to(folder):
        raise ModelFormatError(f"{name} is kept in {location!r}, which is outside of {folder}")
    if not path.is_file():
        raise ModelFormatError(f"{name} is kept in {location!r}, which is no file in {folder}")
    offset, length = _number(entries, "offset", 0, name), _number(entries, "length", nbytes, name)
    if length != nbytes or offset + length > path.stat().st_size:
        raise ModelFormatError(
            f"{name} takes {nbytes} bytes, but {location!r} keeps {length} at {offset} of "
            f"{path.stat().st_size}"
        )
    if not nbytes:
        return np.empty(0, np.uint8)
    return np.memmap(path, np.uint8, "r", offset, (nbytes,))


def _number(entries: dict[str, str], key: str, default: int, name: str) -> int:
    text = entries.get(key, str(default))
    if not text.isdecimal():
        raise ModelFormatError(f"{name}: {key} of its external data is {text!r}, no number")
    return int(text)
