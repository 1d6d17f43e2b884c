"""The target inside the acquisition: utilities of every member's raw outputs.

A target is looked for by expected improvement. An extreme is looked for by an upper confidence bound: where the best
recipe can hardly be beaten, improvement on it alone says little, and a campaign wants the next best recipes as well.
Thompson sampling is there for those who ask for it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from planners.heavy import log_fatplus
from planners.records import Request

_SMOOTHING = 0.1
"""Tolerances over which an improvement towards a target is smoothed."""
_SMOOTHING_OF_EXTREMES = 0.01
"""Standard deviations of the readings over which one on an extreme is: less than what is left to gain near the end."""

Predict = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Features [N, D] -> raw outputs of every member [M, N, m] and the chance of a reading [N]."""

_CONFIDENCE = 1.0
"""Standard deviations of an upper confidence bound."""
_CONFIDENCE_IN_FREE_SPACE = 2.0
"""Those for an extreme where every recipe can be run. Recipes that are listed are run once, so that the next best is
always elsewhere; in a free space there is one beside the best that is as good, and less hope would go on with those."""


def log_expected_improvement(values: Tensor, incumbent: Tensor, smoothing: float = _SMOOTHING) -> Tensor:
    """log E[max(U - U*, 0)] over members, from utilities [M, N] and each member's incumbent [M, 1]: [N].

    The maximum is smoothed with a fat tail, so that its logarithm ranks candidates that no member calls an improvement
    (Ament et al., NeurIPS 2023, "Unexpected improvements to expected improvement").
    """
    improvement: Tensor = log_fatplus(values - incumbent, tau=smoothing)
    return torch.logsumexp(improvement, dim=0) - math.log(len(values))


@dataclass(frozen=True)
class Read:
    """First outputs that were read at G measured recipes [G], and what share of their distance from a member's own
    belief is the recipe's and not the reading's [G]: that of noise beside what the readings state in all noise."""

    first: NDArray[np.float64]
    own: NDArray[np.float64]


class Improvement:
    """Ranks unit points by log expected improvement.

    Each member's incumbent is the best it believes in among what was measured and what is pending: noise is averaged
    out, and a pending experiment leaves little to gain nearby (Balandat et al. 2020, qNEI). What a reading does not
    state of its noise is taken for what is peculiar to the recipe, and is not averaged out: otherwise a recipe that was
    read to be off counts as one that is on target, and nothing near it looks worth a try.
    """

    name = "log expected improvement of utility × chance of a reading"

    def __init__(
        self, request: Request, predict: Predict, measured: NDArray[np.float64], read: Read | None = None
    ) -> None:
        self._objective = request.objective
        self._encode = request.space.encode
        self._predict = predict
        readings = np.array([o.readings for o in request.known() if not o.failed], dtype=np.float64)
        share = _SMOOTHING_OF_EXTREMES if request.objective.target is None else _SMOOTHING
        self._smoothing = share * request.objective.resolution(readings)
        outputs, _ = predict(torch.from_numpy(self._encode(np.concatenate([measured, _pending(request)]))))
        if read is not None:
            first = outputs[:, : len(measured), 0]
            first += torch.from_numpy(read.own) * (torch.from_numpy(read.first) - first)
        self._incumbent = request.objective.worth(outputs).amax(1, keepdim=True)

    def __call__(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unit points [N, d] -> acquisition values [N]."""
        outputs, chance = self._predict(torch.from_numpy(self._encode(unit)))
        value = log_expected_improvement(self._objective.worth(outputs), self._incumbent, self._smoothing)
        return np.asarray((value + chance.clip(1e-6, None).log()).numpy(), dtype=np.float64)


class UpperConfidence:
    """Ranks unit points by mean utility and one standard deviation of it over members, or two for an extreme in a free
    space; a failure counts as the worst reading.

    What pending experiments will tell is no uncertainty any more: the deviation is what is left when the utility is
    regressed on that of the pending experiment which tells most (one point of GP-BUCB: Desautels et al., JMLR 2014).
    """

    name = "upper confidence of utility × chance of a reading"

    def __init__(self, request: Request, predict: Predict) -> None:
        self._objective = request.objective
        self._encode = request.space.encode
        self._predict = predict
        readings = np.array([o.readings for o in request.known() if not o.failed], dtype=np.float64)
        self._worst = float(np.nanmin(request.objective.score_rows(readings)))
        free_extreme = request.objective.target is None and request.candidates is None
        self._confidence = _CONFIDENCE_IN_FREE_SPACE if free_extreme else _CONFIDENCE
        self._pending: Tensor | None = None
        if request.pending:
            outputs, _ = predict(torch.from_numpy(self._encode(_pending(request))))
            self._pending = _standardised(request.objective.worth(outputs))

    def __call__(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unit points [N, d] -> acquisition values [N]."""
        outputs, chance = self._predict(torch.from_numpy(self._encode(unit)))
        utility = self._objective.worth(outputs)
        deviation = utility.std(0)
        if self._pending is not None:
            told = (_standardised(utility).mT @ self._pending / (len(utility) - 1)).square().amax(1)
            deviation = deviation * (1.0 - told).clamp_min(0.0).sqrt()
        hoped = utility.mean(0) + self._confidence * deviation
        return np.asarray((self._worst + chance * (hoped - self._worst)).numpy(), dtype=np.float64)


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


def _pending(request: Request) -> NDArray[np.float64]:
    """Unit points of pending experiments [k, d]."""
    return request.space.to_unit(request.pending) if request.pending else np.empty((0, request.space.dimension))


def _standardised(utility: Tensor) -> Tensor:
    """Utilities [M, N] less their mean over members, over their standard deviation."""
    return (utility - utility.mean(0)) / utility.std(0).clamp_min(1e-12)
