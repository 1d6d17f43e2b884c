"""SNOBFIT: branching of boxes with local fits (Huyer & Neumaier, ACM Trans. Math. Softw. 35:9, 2008).

It drove the first self-optimising synthesis of quantum dots (Krishnadasan et al., Lab Chip 7:1434, 2007). The one
library that has it does not run under numpy 2.4, so this is our own, from the article: the same boxes, the same
classes of points, and local models fitted to nearest neighbours; the box-constrained quadratic is minimised by L-BFGS-B
in place of the authors' solver, and the noise of a reading is not asked for.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planners.asked import Cost, Searched, Tired
from planners.errors import PlannerError

_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
_ROUNDS = 400
_EXPLORING = 0.5
"""The chance that a point of a round explores the largest boxes; the article's p."""
_NEIGHBOURS = 5
"""Neighbours of a local fit beside one for each dimension."""
_APART = 1e-3
_DRAWS = 200


@dataclass(frozen=True)
class Snobfit(Searched):
    """Rounds of `requested` points (0: dimension + 6, as its authors advise).

    Raises:
        PlannerError: a negative number of points.
    """

    requested: int = 0

    def __post_init__(self) -> None:
        if self.requested < 0:
            raise PlannerError(f"snobfit: requested must be at least 0, not {self.requested}")

    @property
    def name(self) -> str:
        """See `planners.Strategy`."""
        return "snobfit"

    @property
    def step(self) -> str:
        """See `Searched`."""
        return "point of a SNOBFIT round"

    def search(self, cost: Cost, start: NDArray[np.float64], start_costs: NDArray[np.float64], seed: int) -> None:
        """See `Searched`."""
        rng = np.random.Generator(np.random.PCG64(seed))
        points, costs = start.copy(), start_costs.copy()
        for _ in range(_ROUNDS):
            wanted = _round(points, costs, self.requested or start.shape[1] + 6, rng)
            measured = np.array([cost(point) for point in wanted])
            points, costs = np.vstack([points, wanted]), np.concatenate([costs, measured])


def _round(
    points: NDArray[np.float64], costs: NDArray[np.float64], count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The points [count, d] of one round, from all points [n, d] so far and their costs [n].

    First the minimum of the quadratic around the best point (class 1). Then, by lot, minima of the linear fits around
    the other points, local minimisers before the rest (classes 2 and 3), or the free half of the largest box (class 4).
    What is missing is filled with the most remote of random points (class 5).

    Raises:
        Tired: there is no room left between the points.
    """
    low, high = _boxes(points, costs)
    chosen = [_quadratic_minimum(points, costs)]
    promising = _promising(points, costs)
    largest = iter(np.argsort(np.sum(-np.round(np.log2(np.maximum(high - low, 1e-12))), axis=1), kind="stable"))
    while len(chosen) < count:
        if rng.random() < _EXPLORING or not promising:
            box = next(largest, None)
            point = None if box is None else _free_half(points[box], low[box], high[box])
        else:
            point = promising.pop(0)
        remote = point is None
        if point is None:
            point = _remote(np.vstack([points, *chosen]), rng)
        if np.min(np.max(np.abs(np.vstack([points, *chosen]) - point), axis=1)) > _APART:
            chosen.append(point)
        elif remote:  # the farthest from all others is as good as one of them: few fit on one axis
            raise Tired
    return np.array(chosen)


def _boxes(points: NDArray[np.float64], costs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The unit cube in boxes with one point in each: their corners [n, d] and [n, d].

    A box with several points is cut where two neighbours along the most varied coordinate are farthest apart, in the
    golden section, the larger part to the better of the two.
    """
    n, d = points.shape
    low, high = np.zeros((n, d)), np.ones((n, d))
    heap = [(np.arange(n), np.zeros(d), np.ones(d))]
    while heap:
        rows, a, b = heap.pop()
        if len(rows) == 1 or np.all(np.ptp(points[rows], axis=0) == 0.0):
            low[rows], high[rows] = a, b
            continue
        axis = int(np.argmax(np.var(points[rows], axis=0) / np.maximum(b - a, 1e-12) ** 2))
        order = rows[np.argsort(points[rows, axis], kind="stable")]
        along = points[order, axis]
        at = int(np.argmax(np.diff(along)))
        share = _GOLDEN if costs[order[at]] <= costs[order[at + 1]] else 1.0 - _GOLDEN
        cut = along[at] + share * (along[at + 1] - along[at])
        upper, lower = b.copy(), a.copy()
        upper[axis] = lower[axis] = cut
        heap += [(order[: at + 1], a, upper), (order[at + 1 :], lower, b)]
    return low, high


def _nearest(points: NDArray[np.float64], row: int, count: int) -> NDArray[np.int64]:
    """The `count` points nearest to one of them, itself left out."""
    order = np.argsort(np.sum((points - points[row]) ** 2, axis=1), kind="stable")
    return np.asarray(order[order != row][:count], dtype=np.int64)


def _quadratic_minimum(points: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The minimum [d] of a quadratic through the best point, fitted to its neighbours, inside their reach."""
    from scipy import optimize

    minimize: Any = optimize.minimize  # its stubs know no function that gives value and gradient at once

    n, d = points.shape
    best = int(np.argmin(costs))
    near = _nearest(points, best, min(n - 1, d * (d + 3)))
    if len(near) == 0:
        return np.full(d, 0.5)
    steps, rise = points[near] - points[best], costs[near] - costs[best]
    reach = np.maximum(np.max(np.abs(steps[: d + _NEIGHBOURS]), axis=0), _APART)
    upper = np.triu_indices(d)
    columns = [steps]
    if len(near) >= d:  # squares alone, then the whole Hessian, as the points allow
        columns.append(steps**2 if len(near) < d + len(upper[0]) else steps[:, upper[0]] * steps[:, upper[1]])
    weights = 1.0 / np.maximum(np.sqrt(np.sum((steps / reach) ** 2, axis=1)), 0.1)
    fitted, *_ = np.linalg.lstsq(np.hstack(columns) * weights[:, None], rise * weights, rcond=1e-8)
    gradient, hessian = fitted[:d], np.zeros((d, d))
    if len(fitted) == 2 * d and len(near) < d + len(upper[0]):
        hessian = np.diag(2.0 * fitted[d:])
    elif len(fitted) > d:
        hessian[upper] = fitted[d:]
        hessian = hessian + hessian.T

    bounds = list(zip(np.maximum(-reach, -points[best]), np.minimum(reach, 1.0 - points[best]), strict=True))
    found = minimize(
        lambda s: (gradient @ s + 0.5 * s @ hessian @ s, gradient + hessian @ s),
        np.clip(-0.1 * np.sign(gradient) * reach, *np.array(bounds).T),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
    )
    return np.asarray(np.clip(points[best] + found.x, 0.0, 1.0), dtype=np.float64)


def _promising(points: NDArray[np.float64], costs: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """For every point but the best, where its linear fit is least within half the reach of its neighbours: points that
    are lower than all their neighbours first, each kind by its predicted cost."""
    n, d = points.shape
    best = int(np.argmin(costs))
    found: list[tuple[bool, float, int, NDArray[np.float64]]] = []
    for row in range(n):
        near = _nearest(points, row, min(n - 1, d + _NEIGHBOURS))
        if row == best or len(near) < 2:
            continue
        steps, rise = points[near] - points[row], costs[near] - costs[row]
        gradient, *_ = np.linalg.lstsq(steps, rise, rcond=1e-8)
        reach = 0.5 * np.max(np.abs(steps), axis=0)
        step = np.clip(points[row] - np.sign(gradient) * reach, 0.0, 1.0) - points[row]
        found.append((bool(np.any(rise < 0.0)), float(costs[row] + gradient @ step), row, points[row] + step))
    return [point for *_, point in sorted(found, key=lambda entry: entry[:3])]


def _free_half(point: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """The middle of the larger part of a box on each side of its point [d]."""
    return np.where(point - low > high - point, 0.5 * (low + point), 0.5 * (point + high))


def _remote(points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Of many random points the one farthest from all others [d]."""
    drawn = rng.random((_DRAWS, points.shape[1]))
    gaps = np.min(np.sum((drawn[:, None, :] - points[None]) ** 2, axis=2), axis=1)
    return np.asarray(drawn[int(np.argmax(gaps))], dtype=np.float64)
