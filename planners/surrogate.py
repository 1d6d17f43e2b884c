"""The ensemble surrogate: raw outputs and the chance of a reading, from observations, wrapped as a BoTorch model."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from planners import network
from planners.data import Data
from planners.drift import functions_of_age
from planners.heavy import EnsembleModel
from planners.scales import NOISE, Scales, fit_scales

_NETWORKS, _FEWER, _FEW_READINGS = 16, 8, 48
"""Wide networks of each output, fewer when readings are many; every one has scales of its own, and many last layers."""

_SCALE_ROWS = 96
"""Most rows that inner scales are fitted to (last layers see all): their cost would grow as the cube."""

_AT_ONCE = 256
"""Points predicted at once: what they take stays small enough to be at hand."""

_PRIOR_COUNT = 4.0
_LARGEST_SQUARE = 9.0
_LEAST_FREEDOM = 3
_NORMAL_95 = 1.6449
_NARROW = 1.1
"""Errors on readings left out look too small, because the scales saw all of them: new readings of eleven tables of real
experiments needed intervals wider by about this, at 8 to 60 readings alike, once a Student factor allows for so few."""

_UNSTATED, _LEAST_EXPECTED = 0.3, 5e-4
"""Noise that a reading does not state, as a part of what it states; and the least of it, standardised."""

_LABEL_NOISE = 0.5
"""Noise of a label, +1 a reading and -1 none, beside the fitted one. With less of it one failure condemns all that is
like it: conditions of real tables that were left out asked for this much."""
_LABEL_PRIOR = 0.5
_LABEL_SHARPNESS = 4.0


class EnsembleSurrogate(EnsembleModel):
    """M members; each predicts every one of m raw outputs with a network of its own.

    As a BoTorch model: `forward` takes features `batch_shape x q x D` and gives `batch_shape x M x q x m` in raw units,
    so any Monte Carlo acquisition function of BoTorch applies.

    Attributes:
        inflation: factor [m] by which the standard deviation of a new reading is to be widened, fitted noise included
            and what the reading states itself left out, from errors on readings left out; below one to narrow it.
    """

    def __init__(
        self,
        networks: network.Networks,
        members: int,
        *,
        mean: NDArray[np.float64],
        spread: NDArray[np.float64],
        inflation: NDArray[np.float64],
        scales: Scales,
        labelled: bool,
    ) -> None:
        super().__init__()
        self._networks = networks
        self._scales = scales
        self._members = members
        self._mean = torch.from_numpy(mean)
        self._spread = torch.from_numpy(spread)
        self.inflation = inflation
        self._num_outputs = len(mean)
        self._labelled = labelled

    def forward(self, X: Tensor) -> Tensor:  # noqa: N803 - the name that BoTorch calls by
        values, _ = self._outputs(X.reshape(-1, X.shape[-1]).to(torch.float64))
        shaped = values.reshape(self._members, *X.shape[:-1], self._num_outputs)
        return shaped.movedim(0, -3)

    @torch.no_grad()
    def predict(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        """Features [N, D] -> raw outputs of every member [M, N, m] and the chance of a reading [N]; no gradients."""
        parts = [self._outputs(unit[i : i + _AT_ONCE]) for i in range(0, max(len(unit), 1), _AT_ONCE)]
        return torch.cat([values for values, _ in parts], dim=1), torch.cat([chance for _, chance in parts])

    @torch.no_grad()
    def noise(self, unit: Tensor) -> NDArray[np.float64]:
        """Fitted noise of one reading of each output at features [N, D], raw units, beside what the reading states
        itself: [N, m]."""
        columns = self._num_outputs + self._labelled
        variance = self._scales.noise_variance(unit).reshape(columns, -1, len(unit)).mean(1)
        return np.asarray((variance[: self._num_outputs].sqrt().mT * self._spread).numpy(), dtype=np.float64)

    @torch.no_grad()
    def drift(self, ages: NDArray[np.float64]) -> NDArray[np.float64]:
        """By how much every member holds readings of these ages [n], in experiments, to be above those of now, raw
        units: [M, n, m]. The largest age must be that of the oldest reading."""
        raw = torch.from_numpy(functions_of_age(ages)) @ self._networks.late
        values = self._by_member(raw)[: self._num_outputs].permute(1, 2, 0) * self._spread
        return np.asarray(values.numpy(), dtype=np.float64)

    def _by_member(self, raw: Tensor) -> Tensor:
        """Networks of all columns x N x draws -> columns x M x N."""
        columns = self._num_outputs + self._labelled
        apart = raw.reshape(columns, len(raw) // columns, *raw.shape[1:])
        return apart.movedim(-1, 1).flatten(1, 2)[:, : self._members]

    def _outputs(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        raw = self._by_member(self._networks(unit))
        values = raw[: self._num_outputs].permute(1, 2, 0) * self._spread + self._mean
        if not self._labelled:
            return values, torch.ones(len(unit), dtype=torch.float64)
        return values, torch.sigmoid(_LABEL_SHARPNESS * (raw[-1] + _LABEL_PRIOR)).mean(0)


def fit_ensemble(data: Data, *, members: int, hidden: int, steps: int, rng: np.random.Generator) -> EnsembleSurrogate:
    """Fit the ensemble to at least one reading. A failure anywhere adds a classifier (regression on +-1)."""
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
    labelled = not data.succeeded.all()
    if labelled:
        targets.append(np.where(data.succeeded, 1.0, -1.0) - _LABEL_PRIOR)
        noises.append(np.full(len(data.unit), _LABEL_NOISE))
    stacked, noise_of = np.stack(targets), np.stack(noises)
    copies = min(_NETWORKS if len(data.unit) <= _FEW_READINGS else _FEWER, members)
    rows = _rows_for_scales(data, rng)
    aged = functions_of_age(data.age)
    scales = fit_scales(
        data.unit[rows],
        stacked[:, rows],
        noise_of[:, rows],
        expected_noise=_expected_noise(data, noises),
        slanted=np.arange(len(stacked)) < data.outputs,
        aged=aged[rows],
        copies=copies,
        steps=steps,
        rng=rng,
    )
    networks = network.draw_networks(
        scales,
        data.unit,
        np.repeat(stacked, copies, axis=0),
        np.repeat(noise_of, copies, axis=0),
        aged,
        hidden=hidden,
        draws=-(-members // copies),
        rng=rng,
    )
    squares = scales.left_out_square.reshape(len(stacked), copies, -1).mean(1).numpy()
    return EnsembleSurrogate(
        networks,
        members,
        mean=mean,
        spread=spread,
        inflation=np.array([_inflation(squares[i]) for i in range(data.outputs)]),
        scales=scales,
        labelled=labelled,
    )


def _expected_noise(data: Data, noises: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Prior median of each output's noise beside the known one, standardised [columns]: a part of what readings of the
    first output state of themselves, where most do."""
    expected = np.full(len(noises), NOISE)
    known = noises[0][np.isfinite(noises[0])]
    if data.stated is not None and len(known) and 2 * np.count_nonzero(data.stated) > len(data.stated):
        expected[0] = min(max(_UNSTATED * float(np.median(known)), _LEAST_EXPECTED), NOISE)
    return expected


def _rows_for_scales(data: Data, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows that scales are fitted to: all while they are few; else half of them nearest to what is wanted, those of the
    present campaign before archived ones, and half by chance."""
    count = len(data.unit)
    if count <= _SCALE_ROWS:
        return np.arange(count)
    shortfall = np.zeros(count) if data.shortfall is None else data.shortfall
    archived = np.arange(count) >= (count if data.present is None else data.present)
    order = np.lexsort((rng.random(count), shortfall, archived))
    near, rest = order[: _SCALE_ROWS // 2], order[_SCALE_ROWS // 2 :]
    return np.sort(np.concatenate([near, rng.choice(rest, _SCALE_ROWS - len(near), replace=False)]))


def _inflation(squares: NDArray[np.float64]) -> float:
    """How much too narrow predictions are: the root mean square of errors on readings left out over their predicted
    size [n] (NaN: absent), clipped, drawn towards one by a few pseudo-counts; a Student factor, the 95 % quantile at
    n - 1 degrees of freedom over the normal one; and what such errors overlook."""
    from scipy.special import stdtrit

    known = np.minimum(squares[np.isfinite(squares)], _LARGEST_SQUARE)
    seen = (_PRIOR_COUNT + known.sum()) / (_PRIOR_COUNT + len(known))
    student = stdtrit(max(len(known) - 1, _LEAST_FREEDOM), 0.95) / _NORMAL_95
    return float(_NARROW * student * np.sqrt(seen))
