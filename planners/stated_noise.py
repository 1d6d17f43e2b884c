"""The noise that a reading would state, where readings state more of it in one place than in another."""

import numpy as np
from numpy.typing import NDArray

_ALIKE = 1e-9
_PRIOR = 1.0
"""Of slopes over the unit cube that are none: readings at twelve places weigh about as much."""


class StatedNoise:
    """Of any recipe, from what readings state: its logarithm is linear in the features, and nowhere beyond theirs.

    One number, their median, where all state the same, or one reading is all there is.
    """

    def __init__(self, features: NDArray[np.float64], sd: NDArray[np.float64]) -> None:
        """Features [n, D] of the readings that state their noise, and it [n]; none of them is an error."""
        self._median = float(np.median(sd))
        self._slope: NDArray[np.float64] | None = None
        if np.min(sd) <= 0.0 or np.max(sd) - np.min(sd) <= _ALIKE * np.max(sd):
            return
        logs = np.log(sd)
        self._middle, self._level = features.mean(axis=0), float(logs.mean())
        offset = features - self._middle
        stiff = offset.T @ offset + _PRIOR * np.eye(features.shape[1])
        self._slope = np.linalg.solve(stiff, offset.T @ (logs - self._level))
        self._ends = float(logs.min()), float(logs.max())

    def at(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standard deviation at features [N, D]: [N]."""
        if self._slope is None:
            return np.full(len(features), self._median)
        logs = self._level + (features - self._middle) @ self._slope
        return np.asarray(np.exp(logs.clip(*self._ends)), dtype=np.float64)
