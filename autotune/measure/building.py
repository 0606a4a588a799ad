"""What a builder does: compile a program into the session's object cache."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from tdsl.autotune.measure.arguments import free_sizes, make_inputs
from tdsl.driver import build, compile_bundle
from tdsl.ir.parser import parse_program
from tdsl.ir.stmt import Program
from tdsl.target import Target, TargetKind, target


class Builder:
    """Compiles programs. The runner finds their objects by the same key."""

    def handle(self, request: Mapping[str, Any]) -> dict[str, object]:
        """Answer one request: a hash of the machine code, the same for the same kernel."""
        program, machine = parse_program(request["program"]), target(request["target"])
        if machine.kind is TargetKind.OPENCL:
            return self._build_for_device(program, machine, request["sizes"])
        bundle = compile_bundle(program, machine)
        code = hashlib.sha256(bundle.artifact.code)
        for name, packer in sorted(bundle.packers.items()):
            code.update(name.encode() + packer.code)
        return {"outcome": "ok", "code": code.hexdigest()}

    def _build_for_device(
        self, program: Program, machine: Target, sizes: Mapping[str, int]
    ) -> dict[str, object]:
        """Build and call a kernel: a driver compiles it when it is first called, and keeps it."""
        kernel = build(program, machine)
        kernel(*make_inputs(program, sizes, seed=0), **free_sizes(kernel.signature, sizes))
        return {"outcome": "ok"}
