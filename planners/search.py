"""The maximum of an acquisition function: the best of many candidates, and of those around them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from planners.candidates import around, keep
from planners.records import Request

_REFINE_RADII = (0.06, 0.03, 0.015, 0.006)
_REFINE_STARTS = 4
_REFINE_EACH = 40


def search(
    request: Request,
    acquisition: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    points: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Candidates [N, d] and those of a local refinement around the best of them [M, d], with their values [M]."""
    values = acquisition(points)
    for radius in _REFINE_RADII:
        starts = points[np.argsort(-values, kind="stable")[:_REFINE_STARTS]]
        fresh = keep(request, np.concatenate([around(start, radius, _REFINE_EACH, rng) for start in starts]))
        if len(fresh) == 0:
            continue
        points = np.concatenate([points, fresh])
        values = np.concatenate([values, acquisition(fresh)])
    return points, values


def maximise(
    request: Request,
    acquisition: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    points: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], float, int]:
    """The best of what a search found: the point [d], its value, and how many were compared."""
    points, values = search(request, acquisition, points, rng)
    best = int(np.argmax(values))
    return points[best], float(values[best]), len(points)
