"""What was measured, with replicates put together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planners.records import Observation, Request
from planners.sampling import distinct

DEFAULT_PEAK_SD_EV = 0.001
"""Noise of one peak reading, taken when readings do not state it."""

LEAST_PEAK_SD_EV = 0.0003
"""Noise of one peak reading, taken when it claims less: nothing repeats better than this."""


@dataclass(frozen=True)
class Measured:
    """Distinct recipes that gave a reading: G groups.

    unit [G, d]; mean readings [G, 3] (NaN where absent); standard error of the mean peak [G]; number of readings [G];
    share of their experiments that failed [G].
    """

    x: tuple[tuple[float, ...], ...]
    unit: NDArray[np.float64]
    readings: NDArray[np.float64]
    peak_error_ev: NDArray[np.float64]
    count: NDArray[np.int64]
    failures: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def of(cls, request: Request) -> "Measured":
        observations = request.observations
        unit = request.space.to_unit([o.x for o in observations])
        groups = distinct(unit)
        readings = np.array([o.readings for o in observations]).reshape(-1, 3)
        seen = ~np.isnan(readings[:, 0])
        stated = np.array([peak_noise_ev(o) for o in observations], dtype=np.float64)
        kept = [g for g in range(len(set(groups.tolist()))) if seen[groups == g].any()]
        means, errors, counts, failures, recipes, places = [], [], [], [], [], []
        for g in kept:
            rows = np.flatnonzero((groups == g) & seen)
            means.append([_mean(readings[rows, i]) for i in range(3)])
            single = float(np.sqrt(np.mean(stated[rows] ** 2)))
            scatter = float(np.std(readings[rows, 0], ddof=1)) if len(rows) > 1 else 0.0
            errors.append(max(single, scatter) / np.sqrt(len(rows)))
            counts.append(len(rows))
            failures.append(int(np.sum((groups == g) & ~seen)))
            recipes.append(observations[int(rows[0])].x)
            places.append(unit[rows[0]])
        return cls(
            tuple(recipes),
            np.array(places, dtype=np.float64).reshape(-1, request.space.dimension),
            np.array(means, dtype=np.float64).reshape(-1, 3),
            np.array(errors, dtype=np.float64),
            np.array(counts, dtype=np.int64),
            np.array(failures, dtype=np.int64),
        )


def peak_noise_ev(observation: Observation) -> float:
    """The noise of one peak reading: what it states, within reason."""
    stated = observation.peak_sd_ev
    return DEFAULT_PEAK_SD_EV if stated is None else max(stated, LEAST_PEAK_SD_EV)


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(np.mean(known)) if len(known) else float("nan")
