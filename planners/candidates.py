"""Where to look for the next experiment: space-filling, local and bracketing candidates in the unit cube."""

import numpy as np
from numpy.typing import NDArray

from planners.records import Request
from planners.sampling import allowed, remaining, snap, sobol, unvisited, visited

APART = 1e-3
"""A new experiment differs from every earlier one by more than this in some unit coordinate."""

_LOCAL_RADII = (0.2, 0.1, 0.05, 0.02, 0.008)
_ALONG = 24
_MORE = 32
_FEW = 32
"""Fewer candidates than this are not left alone."""


def pool(
    request: Request,
    unit: NDArray[np.float64],
    first: NDArray[np.float64],
    *,
    spread: int,
    local: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Allowed, unvisited candidates [N, d]: those that the request lists, or up to about spread + 2 local of its space.

    Of these a third is space-filling; a third surrounds the readings nearest to what is wanted at five radii; a
    third lies on segments between readings below and above a target, where the output passes through it and a surrogate
    interpolates. Where that leaves few, lines through what was run are looked at as well.

    Args:
        request: the request.
        unit: unit points of the readings [n, d].
        first: their first output [n].
        spread: number of space-filling points.
        local: number of local points, and of points on segments.
        rng: the source of every random number.
    """
    if request.candidates is not None:
        return remaining(request)
    d = request.space.dimension
    parts = [_spread(request, d, spread, rng)]
    order = np.argsort(request.objective.shortfall(first), kind="stable")
    each = max(1, local // (min(3, len(order)) * len(_LOCAL_RADII)))
    for centre in unit[order[:3]]:
        parts += [around(centre, radius, each, rng) for radius in _LOCAL_RADII]
    if request.objective.target is not None:
        error = first[order] - request.objective.target
        parts.append(_segments(unit[order], error, local // _ALONG, rng))
    found = keep(request, np.concatenate(parts))
    return found if len(found) >= _FEW else np.concatenate([found, keep(request, _lines(request, local, rng))])


def _lines(request: Request, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Up to `count` points [k, d] on the lines through pairs of recipes that were run, as far again as these lie apart.

    What was run was allowed. Where linear conditions leave next to nothing, a line through two such recipes lies in it,
    and hardly any point that is drawn otherwise does.
    """
    unit = np.unique(visited(request), axis=0)
    if len(unit) < 2:
        return np.empty((0, request.space.dimension))
    first, second = (unit[rng.integers(0, len(unit), count)] for _ in range(2))
    points = first + rng.uniform(-1.0, 2.0, (count, 1)) * (second - first)
    return points[np.all((points >= 0.0) & (points <= 1.0), axis=1)]


def _spread(request: Request, d: int, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """`count` space-filling points; where little is allowed, the allowed ones of up to 32 times as many."""
    points = sobol(d, count, rng)
    if request.feasible is None or 4 * np.count_nonzero(allowed(request, snap(request, points))) >= count:
        return points
    more = sobol(d, _MORE * count, rng)
    return more[allowed(request, snap(request, more))][:count]


def around(centre: NDArray[np.float64], radius: float, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """`count` Gaussian points [count, d] around a centre [d]; each moves a random half of the coordinates, or one."""
    d = len(centre)
    moves = rng.random((count, d)) < 0.5
    moves[np.arange(count), rng.integers(0, d, count)] = True
    return np.clip(centre + radius * rng.standard_normal((count, d)) * moves, 0.0, 1.0)


def _segments(
    unit: NDArray[np.float64], error: NDArray[np.float64], pairs: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Points on the segments between readings on either side of the target, the pairs nearest to it first."""
    below, above = np.flatnonzero(error < 0), np.flatnonzero(error >= 0)
    if len(below) == 0 or len(above) == 0:
        return np.empty((0, unit.shape[1]))
    first, second = (side.ravel() for side in np.meshgrid(below, above, indexing="ij"))
    chosen = np.argsort(np.abs(error[first]) + np.abs(error[second]), kind="stable")[:pairs]
    first, second = first[chosen], second[chosen]
    along = (np.arange(_ALONG) + rng.random((len(first), _ALONG))) / _ALONG
    start, end = unit[first][:, None, :], unit[second][:, None, :]
    return (start + along[:, :, None] * (end - start)).reshape(-1, unit.shape[1])


def keep(request: Request, unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Candidates moved to what the space can realise, without those visited or not allowed."""
    points = snap(request, unit)
    points = points[unvisited(points, visited(request), APART)]
    return points[allowed(request, points)]
