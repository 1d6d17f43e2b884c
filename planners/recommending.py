"""The final recipe: what is expected to be truly closest to the target, apart from the question of what to try next."""

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from planners.errors import PlannerError
from planners.evidence import Measured
from planners.modelled import Belief, as_recipe
from planners.objective import Objective
from planners.records import Recommendation, Request
from planners.sampling import generator

if TYPE_CHECKING:
    from planners.modelled import Fitted, Modelled

_CONFIDENT = 0.9
_QUANTILES = ndtri((np.arange(15) + 0.5) / 15)


def recommend(strategy: "Modelled | None", request: Request) -> Recommendation:
    """The best recipe known.

    Each measured peak is drawn towards the model's by their variances, at most half way. Then, in this order: recipes
    measured more than once, never failed, and within the tolerance with 90 % probability; recipes measured within the
    tolerance; any recipe, measured or not, by expected utility. Within a class the highest expected utility wins.

    Args:
        strategy: its surrogate is used; None recommends measured recipes only.
        request: the request.

    Raises:
        PlannerError: no experiment gave a reading.
    """
    measured = Measured.of(request)
    if len(measured) == 0:
        raise PlannerError(f"nothing to recommend: none of {len(request.observations)} experiments gave a reading")
    fitted = _fit(strategy, request, measured)
    belief = _combined(request.objective, measured, fitted.believe(measured.unit) if fitted else None)
    utility = belief.utility
    inside = _probability_inside(request.objective, belief)
    near = np.abs(belief.mean[:, 0] - request.objective.target_peak_ev) <= request.objective.tolerance_ev
    confirmed = near & (measured.count > 1) & (measured.failures == 0) & (inside >= _CONFIDENT)
    for rows in (np.flatnonzero(confirmed), np.flatnonzero(near)):
        if len(rows):
            return _measured(request, measured, belief, int(rows[np.argmax(utility[rows])]))
    best = int(np.argmax(utility))
    if fitted is not None and strategy is not None:
        guess = _search(strategy, request, fitted, measured)
        if guess is not None and guess[1].utility[0] > utility[best]:
            return _modelled(request, *guess, measured)
    return _measured(request, measured, belief, best)


def _fit(strategy: "Modelled | None", request: Request, measured: Measured) -> "Fitted | None":
    if strategy is None or len(measured) < 2:
        return None
    from planners.surrogate import Data

    return strategy.fit(request, Data.of(request), generator(request.seed, len(request.observations), 2))


def _combined(objective: Objective, measured: Measured, model: Belief | None) -> Belief:
    """Measured means drawn towards the model's, weighted by variance; sd is that of the mean, not of one reading."""
    mean = measured.readings.copy()
    error = measured.peak_error_ev
    if model is not None and np.isfinite(model.mean[:, 0]).all():
        weight = error**2 / (error**2 + np.maximum(error, model.sd[:, 0]) ** 2)
        mean[:, 0] += weight * (model.mean[:, 0] - mean[:, 0])
    sd = np.column_stack([error, np.full((len(error), 2), np.nan)])
    tries = measured.count + measured.failures
    spread = objective.score(mean[:, :1] + error[:, None] * _QUANTILES, mean[:, 1:2], mean[:, 2:3])
    utility = spread.mean(1) - (measured.failures / tries) * (1.0 + np.abs(spread.mean(1)))
    return Belief(mean, sd, measured.count / tries, utility)


def _probability_inside(objective: Objective, belief: Belief) -> NDArray[np.float64]:
    gap = belief.mean[:, 0] - objective.target_peak_ev
    sd = belief.sd[:, 0]
    probability = ndtr((objective.tolerance_ev - gap) / sd) - ndtr((-objective.tolerance_ev - gap) / sd)
    return np.asarray(probability, dtype=np.float64)


def _search(
    strategy: "Modelled", request: Request, fitted: "Fitted", measured: Measured
) -> tuple[NDArray[np.float64], Belief] | None:
    """The unmeasured point of highest expected utility, a failure counting as the worst reading; None: none is left."""
    from planners.acquisition import maximise
    from planners.candidates import pool

    rng = generator(request.seed, len(request.observations), 3)
    worst = float(np.min(request.objective.score(*measured.readings.T)))

    def ranking(unit: NDArray[np.float64]) -> NDArray[np.float64]:
        belief = fitted.believe(unit)
        return belief.chance * belief.utility + (1.0 - belief.chance) * worst

    points = pool(
        request, measured.unit, measured.readings[:, 0], spread=strategy.spread, local=strategy.local, rng=rng
    )
    if len(points) == 0:
        return None
    point, value, _ = maximise(request, ranking, points, rng)
    belief = fitted.believe(point[None, :])
    return point, Belief(belief.mean, belief.sd, belief.chance, np.array([value]))


def _measured(request: Request, measured: Measured, belief: Belief, row: int) -> Recommendation:
    count = int(measured.count[row])
    basis: Literal["reproduced", "measured"] = "reproduced" if count > 1 else "measured"
    objective = request.objective
    off_mev = 1000.0 * abs(belief.mean[row, 0] - objective.target_peak_ev)
    inside = float(_probability_inside(objective, belief)[row])
    times = f"{count} times" if count > 1 else "once"
    return Recommendation(
        measured.x[row],
        belief.intervals(row),
        basis,
        f"Measured {times}: {belief.mean[row, 0]:.4f} eV, {off_mev:.1f} meV from the target of "
        f"{objective.target_peak_ev:.4f} eV, within the tolerance of {1000 * objective.tolerance_ev:.1f} meV with "
        f"{100 * inside:.0f} % probability; best of {len(measured)} measured recipes.",
    )


def _modelled(request: Request, point: NDArray[np.float64], belief: Belief, measured: Measured) -> Recommendation:
    objective = request.objective
    gap_mev = 1000.0 * float(np.min(np.abs(measured.readings[:, 0] - objective.target_peak_ev)))
    return Recommendation(
        as_recipe(request, point),
        belief.intervals(0),
        "model",
        f"Never run: no reading is within the tolerance of {1000 * objective.tolerance_ev:.1f} meV (the nearest is "
        f"{gap_mev:.1f} meV off), and the model expects {belief.mean[0, 0]:.4f} eV here, "
        f"{1000 * abs(belief.mean[0, 0] - objective.target_peak_ev):.1f} meV from the target of "
        f"{objective.target_peak_ev:.4f} eV, with a {100 * belief.chance[0]:.0f} % chance of a reading.",
    )
