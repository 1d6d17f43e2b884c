"""The final recipe: what is expected to be truly closest to the target, apart from the question of what to try next."""

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from planners.errors import PlannerError
from planners.evidence import Measured, archived, archived_readings
from planners.in_order import InOrder
from planners.modelled import Belief
from planners.objective import Wanted
from planners.records import Recommendation, Request
from planners.sampling import as_recipe, generator, remaining
from planners.sizes import Sized
from planners.wording import measured_reason, modelled_reason

if TYPE_CHECKING:
    from planners.modelled import Fitted, Modelled

_CONFIDENT = 0.9
_EVEN = 0.5
_QUANTILES = ndtri((np.arange(15) + 0.5) / 15)


def recommend(strategy: "Modelled | None", request: Request) -> Recommendation:
    """The best recipe known.

    Where the model knows of a drift, readings are taken as they would be now. Each measured first output is drawn
    towards the model's by their variances, at most half way; noise that the model has found beside what readings state
    counts as theirs. Then, in this order: recipes expected to be all that is wanted (`Wanted.reached`), measured more
    than once, never failed, and with 90 % probability within the tolerance; recipes expected to be all that is wanted;
    any recipe, measured or not, by expected utility, one that was never run only if it will rather give a reading than
    not. Within a class the highest expected utility wins. An extreme has no tolerance,
    so there the measured recipe of highest expected utility is recommended. The margins inside which an order looks for
    recipes are for the search: of recipes that are there, one inside a bound is inside.

    Before the first reading of its own a campaign is recommended the model's best guess, of an extreme too, where
    archives hold at least two readings.

    Args:
        strategy: its surrogate is used; None recommends measured recipes only.
        request: the request.

    Raises:
        PlannerError: no experiment gave a reading, and no model could learn from archives or finds an allowed recipe.
    """
    if isinstance(request.objective, InOrder):
        request = replace(request, objective=request.objective.as_read)
    sized = Sized.of(request)
    request = sized.request
    read = measured = Measured.of(request)
    fitted = _fit(strategy, request, measured)
    if len(measured) == 0:
        guess = _search(strategy, request, fitted, measured) if strategy is not None and fitted is not None else None
        if guess is None:
            raise PlannerError(f"nothing to recommend: none of {len(request.observations)} experiments gave a reading")
        return _modelled(sized, *guess, measured)
    if fitted is not None:
        done = request.space.to_unit([each.x for each in request.observations])
        measured = Measured.of(request, fitted.drift(), fitted.unstated_noise(done))
    belief = _combined(request.objective, measured, fitted)
    utility = belief.utility
    aimed = request.objective.target is not None
    inside = _probability_inside(request.objective, belief)
    near = request.objective.reached(belief.mean)
    confirmed = near & (measured.count > 1) & (measured.failures == 0) & (inside >= _CONFIDENT)
    for rows in (np.flatnonzero(confirmed), np.flatnonzero(near)):
        if len(rows):
            return _measured(sized, measured, read, belief, int(rows[np.argmax(utility[rows])]))
    best = int(np.argmax(utility))
    if aimed and fitted is not None and strategy is not None:
        guess = _search(strategy, request, fitted, measured, float(utility[best]))
        if guess is not None and guess[1].utility[0] > utility[best] and guess[1].chance[0] > _EVEN:
            return _modelled(sized, *guess, measured)
    return _measured(sized, measured, read, belief, best)


def _fit(strategy: "Modelled | None", request: Request, measured: Measured) -> "Fitted | None":
    if strategy is None or len(measured) + len(archived(request)[0]) < 2:
        return None
    from planners.data import Data

    return strategy.fit(request, Data.of(request), generator(request.seed, len(request.observations), 2))


def _combined(objective: Wanted, measured: Measured, fitted: "Fitted | None") -> Belief:
    """Measured means drawn towards the model's, weighted by variance; sd is that of the mean, not of one reading."""
    mean = measured.readings.copy()
    error = measured.first_error
    model = fitted.believe(measured.unit) if fitted is not None else None
    if model is not None and np.isfinite(model.mean[:, 0]).all():
        with np.errstate(invalid="ignore"):
            weight = np.nan_to_num(error**2 / (error**2 + np.maximum(error, model.sd[:, 0]) ** 2))
        mean[:, 0] += weight * (model.mean[:, 0] - mean[:, 0])
    sd = np.column_stack([error, np.full((len(error), mean.shape[1] - 1), np.nan)])
    tries = measured.count + measured.failures
    possible = np.repeat(mean[:, None, :], len(_QUANTILES), axis=1)
    possible[..., 0] = mean[:, :1] + error[:, None] * _QUANTILES
    spread = objective.score_rows(possible)
    utility = spread.mean(1) - (measured.failures / tries) * (1.0 + np.abs(spread.mean(1)))
    return Belief(mean, sd, measured.count / tries, utility)


def _probability_inside(objective: Wanted, belief: Belief) -> NDArray[np.float64]:
    if objective.target is None:
        return np.zeros(len(belief.mean))
    gap = objective.away(belief.mean)
    sd = belief.sd[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        probability = ndtr((objective.tolerance - gap) / sd) - ndtr((-objective.tolerance - gap) / sd)
    # A reading that states no noise is where it is.
    return np.where(sd == 0.0, gap <= objective.tolerance, probability).astype(np.float64)


def _search(
    strategy: "Modelled", request: Request, fitted: "Fitted", measured: Measured, otherwise: float | None = None
) -> tuple[NDArray[np.float64], Belief] | None:
    """The unmeasured point of highest expected utility; None: none is left.

    `otherwise` is the utility of the best measured recipe: a guess that gives no reading leaves the chemist with that.
    Without one a failure counts as the worst archived reading.
    """
    from planners.candidates import pool
    from planners.modelled import known_places
    from planners.search import maximise

    rng = generator(request.seed, len(request.observations), 3)
    if otherwise is None:
        otherwise = float(np.min(request.objective.score_rows(archived_readings(request))))

    def ranking(unit: NDArray[np.float64]) -> NDArray[np.float64]:
        belief = fitted.believe(unit)
        return belief.chance * belief.utility + (1.0 - belief.chance) * otherwise

    if request.candidates is not None:
        points = _left(request)
        if len(points) == 0:
            return None
        values = ranking(points)
        best = int(np.argmax(values))
        belief = fitted.believe(points[best : best + 1])
        return points[best], Belief(belief.mean, belief.sd, belief.chance, values[best : best + 1])
    places, first = known_places(request, measured)
    points = pool(request, places, first, spread=strategy.spread, local=strategy.local, rng=rng)
    if len(points) == 0:
        return None
    point, value, _ = maximise(request, ranking, points, rng)
    belief = fitted.believe(point[None, :])
    return point, Belief(belief.mean, belief.sd, belief.chance, np.array([value]))


def _left(request: Request) -> NDArray[np.float64]:
    """The listed candidates that are left; none of them is no error when a recipe is recommended."""
    try:
        return remaining(request)
    except PlannerError:
        return np.empty((0, request.space.dimension))


def _measured(sized: Sized, measured: Measured, read: Measured, belief: Belief, row: int) -> Recommendation:
    """Of a measured recipe: `read` is what its readings were, `measured` what they would be now."""
    basis: Literal["reproduced", "measured"] = "reproduced" if measured.count[row] > 1 else "measured"
    objective, said = sized.raw.objective, sized.belief(belief)
    inside = _probability_inside(sized.request.objective, belief)
    reason = measured_reason(objective, said, row, read=sized.measured(read), inside=inside)
    return Recommendation(measured.x[row], said.intervals(row, objective), basis, reason)


def _modelled(sized: Sized, point: NDArray[np.float64], belief: Belief, measured: Measured) -> Recommendation:
    objective, said = sized.raw.objective, sized.belief(belief)
    return Recommendation(
        as_recipe(sized.raw, point),
        said.intervals(0, objective),
        "model",
        modelled_reason(objective, said, sized.measured(measured), archived=len(archived_readings(sized.raw))),
    )
