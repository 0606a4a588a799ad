"""The cost model: gradient-boosted trees that predict how quick a candidate is.

One model serves all structures of a workload. It learns the order of times, or (`REGRESSION`) their
logarithm: replayed searches find the best candidates sooner with the order (`python -m
benchmarks.tuner curve`). Failures count as twice the slowest time. It is trained anew for each
round, on one thread with a fixed seed: the same measurements give the same model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import xgboost
from numpy.typing import NDArray

Rows = NDArray[np.float32]


class Objective(Enum):
    """What the model learns."""

    REGRESSION = "regression"
    RANKING = "ranking"


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How the trees are grown."""

    objective: Objective = Objective.RANKING
    rounds: int = 60
    depth: int = 5
    eta: float = 0.2


class CostModel:
    """Predicts a score from features: the lower, the quicker."""

    def __init__(self, settings: ModelSettings | None = None) -> None:
        self._settings = settings or ModelSettings()
        self._booster: xgboost.Booster | None = None

    def fit(self, rows: Rows, seconds: Sequence[float | None]) -> None:
        """Learn from measurements.

        Args:
            rows: one row of features for each candidate.
            seconds: of a call, None where the candidate failed.
        """
        labels = self._labels(seconds)
        data = xgboost.DMatrix(rows, label=labels, nthread=1)
        if self._settings.objective is Objective.RANKING:
            data.set_group([len(rows)])
        self._booster = xgboost.train(self._parameters(), data, self._settings.rounds)

    def predict(self, rows: Rows) -> NDArray[np.float32]:
        """The score of each row; zeros before anything was learnt."""
        if self._booster is None:
            return np.zeros(len(rows), np.float32)
        scores = np.asarray(self._booster.inplace_predict(rows), np.float32)
        return -scores if self._settings.objective is Objective.RANKING else scores

    def importance(self) -> dict[int, float]:
        """How much each feature column gains, for reports."""
        if self._booster is None:
            return {}
        gains = self._booster.get_score(importance_type="gain")
        return {int(name[1:]): float(str(gain)) for name, gain in gains.items()}

    def _labels(self, seconds: Sequence[float | None]) -> NDArray[np.float32]:
        logs = [None if s is None else float(np.log2(s)) for s in seconds]
        known = [log for log in logs if log is not None]
        worst = max(known, default=0.0) + 1.0
        labels = np.array([worst if log is None else log for log in logs], np.float32)
        labels -= labels.min() if len(labels) else 0.0
        if self._settings.objective is Objective.RANKING:
            return np.asarray(labels.max() - labels, np.float32)
        return labels

    def _parameters(self) -> dict[str, object]:
        ranking = self._settings.objective is Objective.RANKING
        return {
            "objective": "rank:pairwise" if ranking else "reg:squarederror",
            "max_depth": self._settings.depth,
            "eta": self._settings.eta,
            "tree_method": "hist",
            "max_bin": 64,
            "min_child_weight": 1,
            "subsample": 0.9,
            "colsample_bytree": 0.7,
            "seed": 0,
            "nthread": 1,
            "verbosity": 0,
        }
