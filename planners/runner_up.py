"""What would have been run instead: the best candidate elsewhere, and by how much less it promises."""

import math

import numpy as np
from numpy.typing import NDArray

from planners.records import Request
from planners.space import Variable

_ELSEWHERE = 0.05
"""Candidates that differ by less of every range are the same recipe to a chemist."""
_SAID = 2
"""Most inputs that are named."""

Second = tuple[NDArray[np.float64], float]
"""A unit point [d] and its acquisition value."""


def runner_up(request: Request, points: NDArray[np.float64], values: NDArray[np.float64], best: int) -> Second | None:
    """The best of the candidates [N, d] that are elsewhere than the best one, with its value; of candidates that are
    listed, the next. None where there is none."""
    apart = np.max(np.abs(points - points[best]), axis=1)
    others = np.flatnonzero((apart > (0.0 if request.candidates is not None else _ELSEWHERE)) & np.isfinite(values))
    if len(others) == 0:
        return None
    second = int(others[np.argmax(values[others])])
    return points[second], float(values[second])


def runner_up_words(
    request: Request, point: NDArray[np.float64], value: float, second: Second | None, *, logarithmic: bool
) -> str:
    """A sentence on the runner-up, to follow a reason: where it differs most from the point [d] that was chosen, and
    how much less its acquisition promises. Empty where there is none."""
    if second is None or not math.isfinite(value):
        return ""
    other, less = second[0], max(value - second[1], 0.0)
    gaps = np.abs(other - point)
    order = [int(i) for i in np.argsort(-gaps, kind="stable")[:_SAID] if gaps[i] > 0.0]
    raw, chosen = (request.space.from_unit(each[None, :])[0] for each in (other, point))
    variables = request.space.variables
    where = " and ".join(_said(variables[i], float(raw[i]), float(chosen[i])) for i in order)
    if logarithmic:
        per = f" per {request.price.unit}" if request.price is not None else ""
        much = f"{100.0 * -math.expm1(-less):.2g} % less expected improvement{per}"
    else:
        much = f"an acquisition value lower by {less:.2g}"
    return f" Runner-up: {where}, with {much}."


def _said(variable: Variable, value: float, instead: float) -> str:
    name = variable.name.replace("_", " ")
    if variable.levels:
        return f"{name} {variable.levels[round(value)]} instead of {variable.levels[round(instead)]}"
    unit = f" {variable.unit}" if variable.unit else ""
    return f"{name} {value:.3g}{unit} instead of {instead:.3g}{unit}"
