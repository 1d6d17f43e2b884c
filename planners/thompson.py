"""Thompson sampling: what one member of the ensemble, drawn by chance, believes in."""

import numpy as np
import torch
from numpy.typing import NDArray

from planners.acquisition import Predict
from planners.records import Request


class Thompson:
    """Ranks unit points by the utility that one member predicts; a failure counts as the worst reading.

    A member is a draw from the posterior over what the outputs may be, so a recipe is chosen as often as it is likely
    to be the best one (Thompson, Biometrika 25:285, 1933; with randomised networks: Osband et al., NeurIPS 2016). Every
    proposal draws another member, which also keeps pending experiments apart.
    """

    name = "utility by one member drawn at random (Thompson sampling) × chance of a reading"

    def __init__(self, request: Request, predict: Predict, member: int) -> None:
        self._objective = request.objective
        self._encode = request.space.encode
        self._predict = predict
        self._member = member
        readings = np.array([o.readings for o in request.known() if not o.failed], dtype=np.float64)
        self._worst = float(np.nanmin(self._objective.score_rows(readings)))

    def __call__(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unit points [N, d] -> acquisition values [N]."""
        outputs, chance = self._predict(torch.from_numpy(self._encode(unit)))
        utility = self._objective.worth(outputs[self._member])
        return np.asarray((self._worst + chance * (utility - self._worst)).numpy(), dtype=np.float64)
