"""Proposals and recommendations in one plain sentence with numbers."""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from planners.evidence import Measured
from planners.objective import PeakAimed, Wanted
from planners.records import Request
from planners.shape import Shape

if TYPE_CHECKING:
    from planners.modelled import Belief

_SAME = 1e-9
"""Unit values of one level differ by rounding only."""
_NONE_YET = "no reading of its own yet"


def proposal_reason(
    request: Request,
    point: NDArray[np.float64],
    described: str,
    belief: "Belief",
    *,
    measured: Measured,
    compared: int,
) -> str:
    """Why this unit point [d] is the next experiment: what the model expects there and how likely that is good enough,
    whether it is tried because it looks best or because it is uncertain, the best reading so far, and how far from
    every recipe that gave a reading it lies."""
    objective, so_far = request.objective, _so_far(request)
    predicted, chance = belief.intervals(0, objective), float(belief.chance[0])
    expects = described
    first = predicted.get(objective.outputs[0])
    if isinstance(objective, PeakAimed):
        target_ev = objective.target_peak_ev
        if first is not None:
            off_mev = 1000.0 * (first.mean - target_ev)
            expects += (
                f" expects {first.mean:.4f} eV (90 % within {first.low:.4f} to {first.high:.4f}), "
                f"{abs(off_mev):.1f} meV {'above' if off_mev >= 0 else 'below'} the target of {target_ev:.4f} eV"
            )
        else:
            expects += f" expects the best score for the target of {target_ev:.4f} eV"
        expects += _more(objective, belief.mean[0])
        best = _NONE_YET
        if len(measured):
            gap_mev = 1000.0 * float(np.min(np.abs(measured.readings[:, 0] - target_ev)))
            best = f"the nearest reading {so_far} is {gap_mev:.1f} meV off"
    elif isinstance(objective, Shape):
        words = objective.words(belief.mean[0])
        expects += f" expects {words or 'the best score for the light of the target'}"
        best = _NONE_YET
        if len(measured):
            best = f"the nearest reading {so_far} is {objective.off_words(measured.readings)} off"
    else:
        name, wanted = objective.outputs[0], goal_words(objective)
        if first is not None:
            expects += f" expects {name} {first.mean:.4g} (90 % within {first.low:.4g} to {first.high:.4g}), {wanted}"
        else:
            expects += f" expects the best score for {name}, {wanted}"
        readings, best = measured.readings[:, 0], _NONE_YET
        if len(measured):
            nearest = readings[int(np.argmax(objective.score_rows(measured.readings)))]
            best = f"the best reading {so_far} is {nearest:.4g}"
    return (
        f"{expects}, with {_reading_words(request, chance)}{_inside_words(objective, belief)}; "
        f"{_purpose(objective, belief, measured, so_far)} ({best}); {_distance(request, point, measured)}; "
        f"best of {compared} candidates."
    )


def _so_far(request: Request) -> str:
    """Of which readings a best one is: those of archives are learnt from, and are none of the campaign's own."""
    return "of this campaign" if request.archives else "so far"


def drift_words(objective: Wanted, moved: NDArray[np.float64] | None) -> str:
    """By how much the first output has moved since the first experiment, to go on with; nothing where that is in doubt.

    `moved`: low end, middle and high end of its 90 % interval; None: no drift is known of."""
    if moved is None:
        return ""
    low, middle, high = (float(each) for each in moved)
    if low <= 0.0 <= high:
        return ""
    name, unit, scale = objective.outputs[0], "", 1.0
    if isinstance(objective, PeakAimed):
        name, unit, scale = "peak", " meV", 1000.0
    ends = sorted((scale * abs(low), scale * abs(high)))
    return (
        f", to which the {name} of every recipe has {'risen' if middle > 0 else 'fallen'} by "
        f"{scale * abs(middle):.2g}{unit} since the first experiment (90 % within {ends[0]:.2g} to {ends[1]:.2g}),"
    )


def _more(objective: PeakAimed, readings: NDArray[np.float64]) -> str:
    """What readings [3] come to beside the peak, to go on a sentence with."""
    words = objective.words(readings)
    return f", {words}" if words else ""


def _reading_words(request: Request, chance: float) -> str:
    """The chance of a reading; a model that has seen no failure knows of none."""
    if any(each.failed for each in request.known()):
        return f"a {100 * chance:.0f} % chance of a reading"
    return "a reading (none has failed so far)"


def _inside_words(objective: Wanted, belief: "Belief") -> str:
    """The chance of a reading within the tolerance, by the mean and the spread of a reading."""
    mean, sd = float(belief.mean[0, 0]), float(belief.sd[0, 0])
    if objective.target is None or isinstance(objective, Shape) or not (math.isfinite(mean) and sd > 0):
        return ""
    ends = ((objective.target + side * objective.tolerance - mean) / (sd * math.sqrt(2.0)) for side in (-1.0, 1.0))
    low, high = (0.5 * (1.0 + math.erf(end)) for end in ends)
    return f" and {100 * float(belief.chance[0]) * (high - low):.0f} % of one within the tolerance"


def _purpose(objective: Wanted, belief: "Belief", measured: Measured, so_far: str) -> str:
    """Exploit where the expected utility is above that of every reading, else explore."""
    if not len(measured):
        return "begins: what is known comes from archives"
    reached = float(np.max(objective.score_rows(measured.readings)))
    if float(belief.utility[0]) > reached:
        return f"exploits: on average a better score than any {so_far}"
    return f"explores: on average no better a score than the best {so_far}, but uncertain enough to beat it"


def _distance(request: Request, point: NDArray[np.float64], measured: Measured) -> str:
    """The input in which the point differs most from the nearest recipe that gave a reading in this campaign, and by
    how much."""
    if not len(measured):
        return "nothing was run yet"
    gaps = np.abs(measured.unit - point)
    for i, variable in enumerate(request.space.variables):
        if variable.kind == "categorical":
            gaps[:, i] = gaps[:, i] > _SAME
        elif not variable.fixed:
            gaps[:, i] /= np.ptp(variable.to_unit(np.array([variable.lower, variable.upper])))
    nearest = gaps[int(np.argmin(gaps.max(axis=1)))]
    furthest = int(np.argmax(nearest))
    name = request.space.names[furthest].replace("_", " ")
    here = " in this campaign" if request.archives else ""
    if request.space.variables[furthest].kind == "categorical" and nearest[furthest] > 0.0:
        return f"another {name} than in the recipes nearest to it that gave a reading{here}"
    return f"{100 * nearest[furthest]:.1f} % of the range of {name} from the nearest recipe that gave a reading{here}"


def goal_words(objective: Wanted) -> str:
    """What is wanted of the first output, in words."""
    if objective.target is not None:
        return f"wanted at {objective.target:.4g} within {objective.tolerance:.4g}"
    if len(objective.outputs) > 1:
        return f"wanted as desirable as possible together with {' and '.join(objective.outputs[1:])}"
    return (
        "wanted as large as possible"
        if objective.shortfall(np.array([0.0, 1.0]))[0] > 0
        else ("wanted as small as possible")
    )


def measured_reason(
    objective: Wanted, belief: "Belief", row: int, *, read: Measured, inside: NDArray[np.float64]
) -> str:
    """Why a measured recipe is recommended: the mean of what was read of it, and what is expected of it now, which is
    drawn towards what the model makes of all recipes."""
    count = int(read.count[row])
    times = f"{count} times" if count > 1 else "once"
    among = f"chosen among {len(read)} measured recipes" if len(read) > 1 else "the only recipe measured"
    mean, expected = read.readings[row, 0], belief.mean[row, 0]
    if isinstance(objective, PeakAimed):
        off_mev = 1000.0 * abs(mean - objective.target_peak_ev)
        within = f"within the tolerance of {1000 * objective.tolerance_ev:.1f} meV with {100 * inside[row]:.0f} %"
        return (
            f"Measured {times}: {mean:.4f} eV, {off_mev:.1f} meV from the target of {objective.target_peak_ev:.4f} eV"
            f"{_more(objective, read.readings[row])}; now expected at {expected:.4f} eV, {within} probability; "
            f"{among}."
        )
    if isinstance(objective, Shape):
        words = f"{objective.words(read.readings[row])}; now within it with {100 * inside[row]:.0f} % probability"
        return f"Measured {times}: {words}; {among}."
    chance = (
        f", now expected within it with {100 * inside[row]:.0f} % probability" if objective.target is not None else ""
    )
    return f"Measured {times}: {objective.outputs[0]} {mean:.4g}, {goal_words(objective)}{chance}; {among}."


def modelled_reason(objective: Wanted, belief: "Belief", measured: Measured, *, archived: int) -> str:
    """Why a recipe that was never run is recommended; `archived` readings of other campaigns were learnt from."""
    if not len(measured):
        return (
            f"Never run: nothing has been read in this campaign, and the model, which rests on {archived} archived "
            f"readings alone, expects {_expected(objective, belief)}, with a {100 * belief.chance[0]:.0f} % chance of "
            "a reading."
        )
    chance = 100 * belief.chance[0]
    target = objective.target
    gap = float(np.min(objective.shortfall(measured.readings[:, 0])))
    if isinstance(objective, PeakAimed):
        more = _more(objective, belief.mean[0])
        lacking = "all that is wanted" if more else f"within the tolerance of {1000 * objective.tolerance_ev:.1f} meV"
        return (
            f"Never run: no measured recipe is expected to be {lacking} (the nearest reading is {1000.0 * gap:.1f} meV "
            f"off), and the model expects {_expected(objective, belief)}, with a {chance:.0f} % chance of a reading."
        )
    if isinstance(objective, Shape):
        return (
            f"Never run: the nearest reading is {objective.off_words(measured.readings)} off, and the model expects "
            f"{_expected(objective, belief)}, with a {chance:.0f} % chance of a reading."
        )
    off = "" if target is None else f" (the nearest reading is {gap:.4g} off)"
    return (
        f"Never run{off}: the model expects {_expected(objective, belief)}, with a {chance:.0f} % chance of a reading."
    )


def _expected(objective: Wanted, belief: "Belief") -> str:
    """What a model expects of a recipe, beside what is wanted."""
    mean = float(belief.mean[0, 0])
    if math.isnan(mean):
        return "the best score here"
    if isinstance(objective, PeakAimed):
        off_mev = 1000.0 * abs(mean - objective.target_peak_ev)
        return (
            f"{mean:.4f} eV here, {off_mev:.1f} meV from the target of {objective.target_peak_ev:.4f} eV"
            f"{_more(objective, belief.mean[0])}"
        )
    if isinstance(objective, Shape):
        return objective.words(belief.mean[0]) or "the best score here"
    return f"{objective.outputs[0]} {mean:.4g} here, {goal_words(objective)}"
