"""The ensemble surrogate: raw outputs and the chance of a reading, from observations, wrapped as a BoTorch model."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from planners import network
from planners.evidence import complete_readings, reading_noise
from planners.heavy import EnsembleModel
from planners.records import Request

_FOLDS = 5
"""Every member leaves one of this many parts of the data out of its hidden weights, to be checked on it."""

_PRIOR_COUNT = 4.0
_PRIOR_INFLATION = 1.5
_LARGEST_SQUARE = 9.0
_FEW_MEMBERS = 1.5
"""Mean of the clipped square of Student's t with 4 degrees of freedom, which a variance from 5 members leads to."""

_LABEL_NOISE = 0.2
_LABEL_PRIOR = 0.5
_LABEL_SHARPNESS = 4.0


@dataclass(frozen=True)
class Data:
    """Observations as arrays: features [n, D] (`SearchSpace.encode`), readings [n, m] with NaN where absent, noise of
    the first output [n], and what the objective says of its outputs (see `Wanted`)."""

    unit: NDArray[np.float64]
    readings: NDArray[np.float64]
    first_sd: NDArray[np.float64]
    other_noise: tuple[float, ...]
    spread_floor: tuple[float, ...]

    @classmethod
    def of(cls, request: Request) -> "Data":
        observations, objective = request.observations, request.objective
        outputs = len(objective.outputs)
        return cls(
            request.space.encode(request.space.to_unit([o.x for o in observations])),
            np.array([complete_readings(o, outputs) for o in observations], dtype=np.float64).reshape(-1, outputs),
            np.array([reading_noise(o, objective) for o in observations], dtype=np.float64),
            objective.other_noise,
            objective.spread_floor,
        )

    @property
    def outputs(self) -> int:
        """Number of outputs, m."""
        return int(self.readings.shape[1])

    @property
    def succeeded(self) -> NDArray[np.bool_]:
        """Which rows gave a reading of the first output: [n]."""
        return ~np.isnan(self.readings[:, 0])


class EnsembleSurrogate(EnsembleModel):
    """M members; each predicts every one of m raw outputs with a network of its own.

    As a BoTorch model: `forward` takes features `batch_shape x q x D` and gives `batch_shape x M x q x m` in raw units,
    so any Monte Carlo acquisition function of BoTorch applies.

    Attributes:
        noise: fitted noise of one reading of each output [m], raw units, beside what the reading states itself.
    """

    def __init__(
        self,
        networks: network.Networks,
        members: int,
        *,
        mean: NDArray[np.float64],
        spread: NDArray[np.float64],
        inflation: NDArray[np.float64],
        noise: NDArray[np.float64],
    ) -> None:
        super().__init__()
        self._networks = networks
        self._members = members
        self._mean = torch.from_numpy(mean)
        self._spread = torch.from_numpy(spread)
        self._inflation = torch.from_numpy(inflation)
        self.noise = noise
        self._num_outputs = len(mean)
        self._labelled = networks.last.shape[0] > members * len(mean)

    def forward(self, X: Tensor) -> Tensor:  # noqa: N803 - the name that BoTorch calls by
        values, _ = self._outputs(X.reshape(-1, X.shape[-1]).to(torch.float64))
        shaped = values.reshape(self._members, *X.shape[:-1], self._num_outputs)
        return shaped.movedim(0, -3)

    @torch.no_grad()
    def predict(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        """Features [N, D] -> raw outputs of every member [M, N, m] and the chance of a reading [N]; no gradients."""
        return self._outputs(unit)

    def _outputs(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        raw = self._networks(unit).reshape(-1, self._members, len(unit))
        values = raw[: self._num_outputs].permute(1, 2, 0)
        centre = values.mean(0, keepdim=True)
        values = (centre + (values - centre) * self._inflation) * self._spread + self._mean
        if not self._labelled:
            return values, torch.ones(len(unit), dtype=torch.float64)
        return values, torch.sigmoid(_LABEL_SHARPNESS * (raw[-1] + _LABEL_PRIOR)).mean(0)


def fit_ensemble(data: Data, *, members: int, hidden: int, steps: int, rng: np.random.Generator) -> EnsembleSurrogate:
    """Fit the ensemble to at least one reading. A failure anywhere adds a classifier (regression on +-1) per member."""
    with np.errstate(invalid="ignore"):
        present = ~np.isnan(data.readings)
        counts = np.maximum(present.sum(0), 1)
        filled = np.where(present, data.readings, 0.0)
        mean = filled.sum(0) / counts
        spread = np.sqrt((np.where(present, filled - mean, 0.0) ** 2).sum(0) / counts)
    spread = np.maximum(spread, data.spread_floor)
    noise = np.column_stack([data.first_sd, *(np.full(len(data.unit), sd) for sd in data.other_noise)])
    targets = [((filled - mean) / spread)[:, i] for i in range(data.outputs)]
    noises = [np.where(present[:, i], noise[:, i] / spread[i], math.inf) for i in range(data.outputs)]
    if not data.succeeded.all():
        targets.append(np.where(data.succeeded, 1.0, -1.0) - _LABEL_PRIOR)
        noises.append(np.full(len(data.unit), _LABEL_NOISE))
    stacked, noise_of = np.stack(targets), np.stack(noises)
    folds = min(_FOLDS, members, len(data.unit))
    fold = np.empty((len(targets), len(data.unit)), dtype=np.int64)
    for row in fold:
        row[:] = rng.permutation(len(data.unit)) % folds
    held_out = fold[:, None, :] == (np.arange(members) % folds)[None, :, None]
    held_out &= len(data.unit) > folds
    networks, check = network.fit(
        data.unit,
        np.repeat(stacked, members, axis=0),
        np.repeat(noise_of, members, axis=0),
        held_out.reshape(-1, len(data.unit)),
        hidden=hidden,
        steps=steps,
        rng=rng,
    )
    check = check.reshape(len(targets), members, -1)
    extra = networks.log_noise.exp().numpy().reshape(len(targets), members).mean(1)
    inflation = np.array(
        [_inflation(check[i], stacked[i], np.hypot(noise_of[i], extra[i]), held_out[i]) for i in range(data.outputs)]
    )
    return EnsembleSurrogate(
        networks, members, mean=mean, spread=spread, inflation=inflation, noise=extra[: data.outputs] * spread
    )


def _inflation(
    check: NDArray[np.float64], target: NDArray[np.float64], noise: NDArray[np.float64], held_out: NDArray[np.bool_]
) -> float:
    """How much too close together the members are: the root mean square of held-out errors over their expected size,
    clipped errors, drawn towards a prior value by a few pseudo-counts."""
    squares = []
    for i in np.flatnonzero(np.isfinite(noise)):
        values = check[held_out[:, i], i]
        if len(values) >= 2:
            expected = _FEW_MEMBERS * values.var(ddof=1) * (1.0 + 1.0 / len(values)) + noise[i] ** 2
            squares.append(min((target[i] - values.mean()) ** 2 / expected, _LARGEST_SQUARE))
    total = _PRIOR_COUNT * _PRIOR_INFLATION**2 + sum(squares)
    return float(np.sqrt(total / (_PRIOR_COUNT + len(squares))))
