"""Replace calls of functions, a model's own and ONNX's composed operators, by their bodies."""

from __future__ import annotations

from typing import Any

from tdsl.graph.errors import ModelFormatError
from tdsl.graph.onnx_import.call import CONVERTERS

_ROUNDS = 4  # bodies may use composed operators in turn


def expand_functions(proto: Any, opset: int) -> Any:
    """The model without functions, as far as ONNX defines them; the model given is not changed.

    Raises:
        ModelFormatError: a body that does not fit its call.
    """
    from onnx import ModelProto, inliner, shape_inference

    if proto.functions or _composed(proto.graph, opset):
        original, proto = proto, ModelProto()
        proto.CopyFrom(original)
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    for _ in range(_ROUNDS):
        wanted = _composed(proto.graph, opset)
        if not wanted:
            return proto
        _fill_in_defaults(proto.graph, wanted, opset)
        try:
            proto = inliner.inline_selected_functions(
                shape_inference.infer_shapes(proto), sorted(wanted), inline_schema_functions=True
            )
        except RuntimeError as error:
            raise ModelFormatError(f"functions of the model do not expand: {error}") from error
    return proto


def _fill_in_defaults(graph: Any, wanted: set[tuple[str, str]], opset: int) -> None:
    """Write down attributes that are left out: bodies that refer to them would lack them."""
    from onnx import defs

    for node in graph.node:
        if ("", node.op_type) not in wanted:
            continue
        given = {attribute.name for attribute in node.attribute}
        schema: Any = defs.get_schema(node.op_type, opset, "")
        for name, attribute in schema.attributes.items():
            if name not in given and attribute.default_value.type:
                node.attribute.append(attribute.default_value)


def _composed(graph: Any, opset: int) -> set[tuple[str, str]]:
    """Operators without a converter that ONNX defines by others."""
    from onnx import defs

    found: set[tuple[str, str]] = set()
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type in CONVERTERS:
            continue
        if not defs.has(node.op_type, opset, ""):
            continue
        schema: Any = defs.get_schema(node.op_type, opset, "")
        if schema.has_function or schema.has_context_dependent_function:
            found.add(("", node.op_type))
    return found
