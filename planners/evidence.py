"""What was measured, with replicates put together."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planners.objective import Wanted
from planners.records import Observation, Request
from planners.sampling import recipe_groups


@dataclass(frozen=True)
class Drift:
    """By how much each reading is above what its recipe gives now: mean and standard deviation [n, m]."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]

    @classmethod
    def none(cls, readings: int, outputs: int) -> "Drift":
        """Of a model that knows no drift."""
        return cls(np.zeros((readings, outputs)), np.zeros((readings, outputs)))


@dataclass(frozen=True)
class Measured:
    """Distinct recipes that gave a reading: G groups.

    unit [G, d]; mean readings [G, m] (NaN where absent); standard error of the mean of the first output [G]; number of
    readings [G]; number of their experiments that failed [G].
    """

    x: tuple[tuple[float, ...], ...]
    unit: NDArray[np.float64]
    readings: NDArray[np.float64]
    first_error: NDArray[np.float64]
    count: NDArray[np.int64]
    failures: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def of(
        cls,
        request: Request,
        drift: Drift | None = None,
        unstated_noise: NDArray[np.float64] | None = None,
    ) -> "Measured":
        """What was measured; as of now, if a drift of the readings is known, and with the noise of each of them beside
        what it states [n], if that is known."""
        observations = request.observations
        unit = request.space.to_unit([o.x for o in observations])
        groups = recipe_groups(request, [o.x for o in observations])
        outputs = len(request.objective.outputs)
        readings = np.array([complete_readings(o, outputs) for o in observations]).reshape(-1, outputs)
        moved = drift or Drift.none(len(observations), outputs)
        readings -= moved.mean
        seen = ~np.isnan(readings[:, 0])
        stated = np.array([reading_noise(o, request.objective) for o in observations], dtype=np.float64)
        kept = [g for g in range(len(set(groups.tolist()))) if seen[groups == g].any()]
        means, errors, counts, failures, recipes, places = [], [], [], [], [], []
        for g in kept:
            rows = np.flatnonzero((groups == g) & seen)
            means.append([_mean(readings[rows, i]) for i in range(outputs)])
            shared = float(np.sqrt(np.mean(moved.sd[rows, 0] ** 2)))
            unstated = None if unstated_noise is None else float(np.mean(unstated_noise[rows] ** 2))
            noise = _noise(readings[rows, 0], float(np.mean(stated[rows] ** 2)), unstated)
            errors.append(math.hypot(noise / math.sqrt(len(rows)), shared))
            counts.append(len(rows))
            failures.append(int(np.sum((groups == g) & ~seen)))
            recipes.append(observations[int(rows[0])].x)
            places.append(unit[rows[0]])
        return cls(
            tuple(recipes),
            np.array(places, dtype=np.float64).reshape(-1, request.space.dimension),
            np.array(means, dtype=np.float64).reshape(-1, outputs),
            np.array(errors, dtype=np.float64),
            np.array(counts, dtype=np.int64),
            np.array(failures, dtype=np.int64),
        )


def archived(request: Request) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Archived recipes that gave a reading, those nearest to what is wanted first: unit points [k, d] and their first
    output [k], as it was read there."""
    seen = [o for archive in request.archives for o in archive.observations if not o.failed]
    first = np.array([o.readings[0] for o in seen], dtype=np.float64)
    if not seen:
        return np.empty((0, request.space.dimension)), first
    order = np.argsort(request.objective.shortfall(first), kind="stable")
    return request.space.to_unit([o.x for o in seen])[order], first[order]


def archived_readings(request: Request) -> NDArray[np.float64]:
    """The readings [k, m] of all archived recipes that gave one, as they were read there."""
    seen = [o.readings for archive in request.archives for o in archive.observations if not o.failed]
    return np.array(seen, dtype=np.float64).reshape(-1, len(request.objective.outputs))


def reading_noise(observation: Observation, objective: Wanted) -> float:
    """The noise of one reading of the first output: what it states, within reason."""
    stated = observation.peak_sd_ev
    default, least = objective.first_noise
    return default if stated is None else max(stated, least)


def complete_readings(observation: Observation, outputs: int) -> tuple[float, ...]:
    """The readings of an observation; one that failed without naming its outputs has none of any."""
    return (float("nan"),) * outputs if observation.failed else observation.readings


def _noise(readings: NDArray[np.float64], stated: float, unstated: float | None) -> float:
    """Noise of one of a recipe's readings [n], given the variance that they state and that which they do not, where it
    is known. It then counts as much as one more reading's scatter; the noise is never less than is stated."""
    scatter = float(np.var(readings, ddof=1)) if len(readings) > 1 else 0.0
    if unstated is not None:
        scatter = ((len(readings) - 1) * scatter + stated + unstated) / len(readings)
    return math.sqrt(max(stated, scatter))


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(np.mean(known)) if len(known) else float("nan")
