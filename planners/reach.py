"""The verdict that a target lies out of reach of the candidates that are left."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from planners.records import Interval, OutOfReach, Request
from planners.sampling import as_recipe

if TYPE_CHECKING:
    from planners.modelled import Belief

    Believe = Callable[[NDArray[np.float64]], Belief]

_LEAST_CHANCE = 0.02
"""A verdict is asked for before every experiment, so a chance that is small once is not small enough."""


def verdict(request: Request, believe: "Believe", points: NDArray[np.float64]) -> OutOfReach | None:
    """Out of reach, when no reading has met the tolerance, the 90 % interval of a reading of every remaining candidate
    [N, d] leaves it out, and the chance that any of them meets it is below 2 %; None otherwise, or where the objective
    has no target or the model no intervals.

    Nine in ten intervals hold their reading, so among many candidates some that leave the target out do so by error.
    The chance is that of independent normal readings of these means and deviations.
    """
    objective = request.objective
    if objective.target is None or len(points) == 0:
        return None
    readings = np.array([o.readings for o in request.observations if not o.failed]).reshape(-1, len(objective.outputs))
    if np.any(objective.reached(readings) | (objective.away(readings) <= objective.tolerance)):
        return None
    belief = believe(points)
    name = objective.outputs[0]
    intervals = [belief.intervals(row, objective).get(name) for row in range(len(points))]
    known = [interval for interval in intervals if interval is not None]
    if len(known) < len(intervals):
        return None
    missing = np.array([_missing(interval, objective.target, objective.tolerance) for interval in known])
    closest = int(np.argmin(missing))
    chance = _chance_of_any(belief, objective.target, objective.tolerance)
    if missing[closest] <= 0.0 or chance >= _LEAST_CHANCE:
        return None
    nearest, gap = known[closest], float(missing[closest])
    return OutOfReach(
        target=objective.target,
        tolerance=objective.tolerance,
        remaining=len(points),
        nearest=as_recipe(request, points[closest]),
        interval=nearest,
        missing=gap,
        reason=(
            f"Out of reach: after {len(readings)} readings no 90 % interval of the {len(points)} candidates left holds "
            f"{objective.target:.4g} within {objective.tolerance:.4g}; the nearest is {nearest.low:.4g} to "
            f"{nearest.high:.4g}, {gap:.2g} away, and the chance that any of them does is {100 * chance:.1g} %."
        ),
    )


def _chance_of_any(belief: "Belief", target: float, tolerance: float) -> float:
    """The chance that at least one reading of the first output falls within the tolerance."""
    from scipy.special import ndtr

    mean, sd = belief.mean[:, 0], belief.sd[:, 0]
    each = ndtr((target + tolerance - mean) / sd) - ndtr((target - tolerance - mean) / sd)
    return float(1.0 - np.prod(1.0 - each))


def _missing(interval: Interval, target: float, tolerance: float) -> float:
    """Distance of an interval from the tolerance around a target; zero where they meet."""
    return max(interval.low - (target + tolerance), (target - tolerance) - interval.high, 0.0)
