"""tdsl as a backend of ONNX's own test suite (onnx.backend.base)."""

from onnx.backend.base import Backend, BackendRep

import tdsl as td


class PreparedModel(BackendRep):
    """A loaded model; the suite passes inputs by position."""

    def __init__(self, session):
        self._session = session

    def run(self, inputs, **_):
        names = [declared.name for declared in self._session.inputs]
        results = self._session.run(dict(zip(names, inputs, strict=False)))
        return [results[name] for name in self._session.output_names]


class TdslBackend(Backend):
    """Compiles each model for this machine's processor."""

    @classmethod
    def supports_device(cls, device):
        return device == "CPU"

    @classmethod
    def prepare(cls, model, device="CPU", **_):
        return PreparedModel(td.Session(model))
