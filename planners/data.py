"""What every model is fitted to: the observations of a request as arrays."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planners.evidence import complete_readings, reading_noise
from planners.records import Request


@dataclass(frozen=True)
class Data:
    """Observations as arrays: features [n, D] (`SearchSpace.encode`), readings [n, m] with NaN where absent, noise of
    the first output [n], what the objective says of its outputs (see `Wanted`), and how far each first output is from
    what is wanted [n] (infinite where absent; None: all alike). The first `present` rows are those of the present
    campaign, the others come from archives (None: all are of the present). `stated` tells which rows state the noise of
    their first output themselves [n] (None: none)."""

    unit: NDArray[np.float64]
    readings: NDArray[np.float64]
    first_sd: NDArray[np.float64]
    other_noise: tuple[float, ...]
    spread_floor: tuple[float, ...]
    shortfall: NDArray[np.float64] | None = None
    present: int | None = None
    stated: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, request: Request) -> "Data":
        observations, objective = tuple(request.known()), request.objective
        outputs = len(objective.outputs)
        readings = np.array([complete_readings(o, outputs) for o in observations], dtype=np.float64)
        readings = readings.reshape(-1, outputs)
        shortfall = np.full(len(readings), math.inf)
        seen = ~np.isnan(readings[:, 0])
        if seen.any():
            shortfall[seen] = objective.shortfall(readings[seen, 0])
        return cls(
            _features(request),
            readings,
            np.array([reading_noise(o, objective) for o in observations], dtype=np.float64),
            objective.other_noise,
            objective.spread_floor,
            shortfall,
            len(request.observations),
            np.array([o.peak_sd_ev is not None for o in observations], dtype=np.bool_),
        )

    @property
    def outputs(self) -> int:
        """Number of outputs, m."""
        return int(self.readings.shape[1])

    @property
    def age(self) -> NDArray[np.float64]:
        """How many experiments ago each reading of the present campaign was made, one for the newest, in the order of
        the rows [n]; zero for those of archives, whose difference from the present is learnt as a whole."""
        present = len(self.unit) if self.present is None else self.present
        return np.maximum(present - np.arange(len(self.unit), dtype=np.float64), 0.0)

    @property
    def succeeded(self) -> NDArray[np.bool_]:
        """Which rows gave a reading of the first output: [n]."""
        return ~np.isnan(self.readings[:, 0])


def _features(request: Request) -> NDArray[np.float64]:
    """What a surrogate sees of every known observation [n, D]."""
    space = request.space
    parts = [space.encode(space.to_unit([o.x for o in request.observations]))]
    for number, archive in enumerate(request.archives):
        parts.append(space.encode(space.to_unit([o.x for o in archive.observations]), source=number))
    return np.concatenate(parts)
