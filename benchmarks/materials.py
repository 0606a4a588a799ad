"""The files that all workers of a row read: the same inputs, and the reference to check against."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import peers_root
from benchmarks.references import make_inputs, make_reference
from benchmarks.workloads import Workload


class MaterialsMissingError(RuntimeError):
    """A row needs files that are not there."""


@dataclass(frozen=True, slots=True)
class Materials:
    """What a worker's ``prepare`` is given."""

    row: dict[str, Any]
    inputs: list[str]
    reference: str | None

    def request(self) -> dict[str, Any]:
        """The arguments of ``prepare``."""
        return {"row": self.row, "inputs": self.inputs, "reference": self.reference}


def lay_out(row: Workload, folder: Path) -> Materials:
    """Write *row*'s inputs and reference below *folder*; raises MaterialsMissingError."""
    if row.kind == "limit":
        return Materials(row.to_json(), [], None)
    if row.kind == "model":
        return _lay_out_model(row, folder)
    arrays = make_inputs(row)
    inputs = [_save(folder / f"{position}.npy", array) for position, array in enumerate(arrays)]
    reference = _save(folder / "reference.npy", make_reference(row, arrays))
    return Materials(row.to_json(), inputs, reference)


def _lay_out_model(row: Workload, folder: Path) -> Materials:
    """A model's inputs and reference were stored by the exporter, which ran it in torch."""
    stem = peers_root() / "models" / row.name.removeprefix("model_")
    model, arrays = stem.with_suffix(".onnx"), stem.with_suffix(".npz")
    if not (model.is_file() and arrays.is_file()):
        raise MaterialsMissingError(
            f"{row.name}: no {model}; `bench_models.py export` of the shared peers writes it"
        )
    with np.load(arrays) as stored:
        names = sorted((n for n in stored.files if n.startswith("in")), key=lambda n: int(n[2:]))
        inputs = [_save(folder / f"{name}.npy", stored[name]) for name in names]
        reference = _save(folder / "reference.npy", stored["out0"])
    return Materials({**row.to_json(), "path": str(model)}, inputs, reference)


def _save(path: Path, array: Any) -> str:
    np.save(path, array)
    return str(path)
