"""The verdict that a target lies out of reach: of the candidates that are left, or of all that the rig may run."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from planners.objective import PeakAimed, Wanted
from planners.records import Interval, OutOfReach, Request
from planners.sampling import as_recipe
from planners.shape import Shape

if TYPE_CHECKING:
    from planners.modelled import Belief

    Believe = Callable[[NDArray[np.float64]], Belief]
    Draws = Callable[[NDArray[np.float64]], NDArray[np.float64] | None]

_NO_CHANCE = 0.001
_LIKELY = 0.5
_FEW = 128
_LEAST_CHANCE = 0.02
"""A verdict is asked for before every experiment, so a chance that is small once is not small enough."""


def verdict(
    request: Request, believe: "Believe", points: NDArray[np.float64], draws: "Draws | None" = None
) -> OutOfReach | None:
    """Out of reach, when no reading has met the tolerance, the 90 % interval of a reading of every candidate [N, d]
    leaves it out, and the chance that any of them meets it is below 2 %; None otherwise, or where the objective has no
    target or the model no intervals. A target spectrum gets no verdict: where half of its light lies does not decide
    how far it is displaced.

    Nine in ten intervals hold their reading, so among many candidates some that leave the target out do so by error.

    Of listed candidates, the chance is that of independent normal readings of these means and deviations. Where none is
    listed, they are those that the acquisition was asked about: all over the space, and close together where readings
    came nearest. Between them the output goes on, so there is a verdict only where all readings lie on one side of the
    target, and the chance is that of any at the target or beyond it: how many of the model's `draws` have one, each
    weighed by its chance of giving a reading; of a model without draws as before. Intervals are asked for where a
    reading is more likely than none.
    """
    objective, listed = request.objective, request.candidates is not None
    if objective.target is None or isinstance(objective, Shape) or len(points) == 0:
        return None
    readings = np.array([o.readings for o in request.observations if not o.failed]).reshape(-1, len(objective.outputs))
    if np.any(objective.reached(readings) | (objective.away(readings) <= objective.tolerance)):
        return None
    beyond = 0.0 if listed else _beyond(objective.target, readings[:, 0])
    if beyond is None:
        return None
    if not listed and _least_missing(believe(points[:: 1 + len(points) // _FEW]), objective, _LIKELY)[1] <= 0.0:
        return None  # as nearly always, and most is saved
    belief = believe(points)
    closest, gap = _least_missing(belief, objective, 0.0 if listed else _LIKELY)
    if not 0.0 < gap < np.inf:
        return None
    chance = _chance_of_any(belief, objective.target, objective.tolerance, beyond, draws and draws(points))
    if chance >= _LEAST_CHANCE:
        return None
    nearest = belief.intervals(closest, objective)[objective.outputs[0]]
    return OutOfReach(
        target=objective.target,
        tolerance=objective.tolerance,
        remaining=len(points),
        nearest=as_recipe(request, points[closest]),
        interval=nearest,
        missing=gap,
        reason=_words(request, len(readings), len(points), nearest, gap, chance),
    )


def _words(request: Request, readings: int, looked_at: int, nearest: Interval, gap: float, chance: float) -> str:
    """The evidence in a sentence; of a peak in eV and meV."""
    objective, target = request.objective, request.objective.target or 0.0
    among = "candidates left" if request.candidates is not None else "recipes looked at, all over the allowed space,"
    if isinstance(objective, PeakAimed):
        wanted = f"{target:.4f} eV within {1e3 * objective.tolerance:.3g} meV"
        ends = f"{nearest.low:.4f} to {nearest.high:.4f} eV, {1e3 * gap:.3g} meV away"
    else:
        wanted = f"{target:.4g} within {objective.tolerance:.4g}"
        ends = f"{nearest.low:.4g} to {nearest.high:.4g}, {gap:.2g} away"
    likely = "below 0.1 %" if chance < _NO_CHANCE else f"below {100 * _LEAST_CHANCE:.0f} %"
    return (
        f"Out of reach: after {readings} readings no 90 % interval of the {looked_at} {among} holds {wanted}; "
        f"the nearest is {ends}, and the chance that any of them does is {likely}."
    )


def _beyond(target: float, first: NDArray[np.float64]) -> float | None:
    """On which side of the target no reading lies: -1 below, 1 above; None where there are some on both, or none."""
    sides = set(np.sign(target - first[~np.isnan(first)]).tolist())
    return sides.pop() if len(sides) == 1 else None


def _chance_of_any(
    belief: "Belief", target: float, tolerance: float, beyond: float, drawn: NDArray[np.float64] | None = None
) -> float:
    """The chance that at least one reading of the first output falls within the tolerance; with `beyond`, there or
    beyond it on that side. `drawn`: the output of each draw [M, N], without the noise of a reading."""
    from scipy.special import ndtr

    if drawn is not None and beyond != 0.0:
        there = beyond * (drawn - target) >= -tolerance
        return float((there * belief.chance).max(axis=1).mean())
    mean, sd = belief.mean[:, 0], belief.sd[:, 0]
    low, high = (target - tolerance - mean) / sd, (target + tolerance - mean) / sd
    if beyond == 0.0:
        return float(1.0 - np.prod(1.0 - (ndtr(high) - ndtr(low))))
    each = ndtr(high) if beyond < 0.0 else ndtr(-low)
    return float(1.0 - np.prod(1.0 - belief.chance * each))


def _least_missing(belief: "Belief", objective: Wanted, likely: float) -> tuple[int, float]:
    """Whose 90 % interval of a reading of the first output comes closest to the tolerance, of those whose chance of one
    is not below `likely`, and by how much it stays away: not at all where they meet, or where the model has no
    interval; infinitely where nothing is likely."""
    target, tolerance = objective.target or 0.0, objective.tolerance
    low, high = (end.clip(objective.least[0], objective.most[0]) for end in belief.ends(0))
    missing = np.maximum(np.maximum(low - (target + tolerance), (target - tolerance) - high), 0.0)
    missing = np.where(belief.chance >= likely, np.nan_to_num(missing, nan=0.0, posinf=0.0), np.inf)
    closest = int(np.argmin(missing))
    return closest, float(missing[closest])
