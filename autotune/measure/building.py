"""What a builder does: compile a program into the session's object cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tdsl.driver import compile_bundle
from tdsl.ir.parser import parse_program
from tdsl.target import target


class Builder:
    """Compiles programs. The runner finds their objects by the same key."""

    def handle(self, request: Mapping[str, Any]) -> dict[str, object]:
        """Answer one request: the size of the object in bytes."""
        program = parse_program(request["program"])
        bundle = compile_bundle(program, target(request["target"]))
        return {"outcome": "ok", "bytes": len(bundle.artifact.code)}
