"""Which inputs matter for which output, how, and where the readings cannot tell.

Every number comes from the draws of an ensemble fitted to the readings. A draw's distance from the mean of all draws is
widened as errors on readings left out ask (`EnsembleSurrogate.inflation`), so that intervals are no narrower than the
model's record allows.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from planners.errors import PlannerError
from planners.evidence import Measured
from planners.explained import Band, Change, Effect, Explanation, Finding, Input
from planners.sampling import distinct, generator, snap, sobol
from planners.wording import drift_words

if TYPE_CHECKING:
    from planners.records import Request, Strategy
    from planners.space import SearchSpace, Variable

Draws = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Unit points [N, d] -> raw outputs of every draw [M, N, m]."""

_GRID = 17
_RECIPES = 48
"""Most recipes at each of which alone a change is looked for."""
_SAMPLES = 512
_CHUNK = 1024
_SURE = 0.95
_QUANTILES = (0.05, 0.5, 0.95)
_SMALL = 0.01
_TINY = 1e-9


def explain(request: "Request", strategy: "Strategy | None" = None) -> Explanation:
    """Explain the readings of a request by an ensemble: the strategy if it is one, else one of default settings.

    The partial dependence of an output on an input is the output over a grid of that input, averaged over the recipes
    that gave a reading (Friedman, Ann. Statist. 2001, 29, 1189); Sobol' indices are over the whole search space, with
    inputs independent and uniform on their scale (Saltelli et al., Comput. Phys. Commun. 2010, 181, 259). Neither asks
    what the rig may run.

    Raises:
        PlannerError: fewer different recipes gave a reading than there are varied inputs and one more, or no input
            can vary.
    """
    space, wanted = request.space, request.objective.outputs
    varied = [i for i, variable in enumerate(space.variables) if not variable.fixed]
    if not varied:
        raise PlannerError("nothing to explain: every input is fixed")
    measured = Measured.of(request)
    _enough(len(measured), len(varied))
    from planners.data import Data
    from planners.ensemble import Ensemble
    from planners.heavy import one_thread

    read = np.sum(~np.isnan(measured.readings), axis=0)
    columns = [o for o in range(len(wanted)) if read[o] > len(varied)]
    rng = generator(request.seed, len(request.observations), 0xE791)
    with one_thread():
        ensemble = strategy if isinstance(strategy, Ensemble) else Ensemble()
        fitted = ensemble.fit(request, Data.of(request), rng)
        ends = np.array(request.objective.least)[columns], np.array(request.objective.most)[columns]

        def draws(unit: NDArray[np.float64]) -> NDArray[np.float64]:
            parts = [fitted.draws(unit[at : at + _CHUNK]) for at in range(0, len(unit), _CHUNK)]
            return np.asarray(np.concatenate(parts, axis=1)[:, :, columns], dtype=np.float64)

        first, total = _sobol_indices(request, draws, rng)
        single = _single(len(measured), rng)
        inputs, effects = [], []
        for i in varied:
            grid = _grid(space.variables[i])
            inputs.append(_input(space, i, grid, measured.unit))
            curves, values = _curves(draws, measured.unit, single, i, grid, ends)
            for c, column in enumerate(columns):
                curve = curves[..., c]
                effects.append(
                    Effect(
                        input=space.names[i],
                        output=wanted[column],
                        curve=tuple(_band(curve[:, k]) for k in range(len(grid))),
                        change=_change(curve, inputs[-1].grid),
                        first=_band(first[:, c, i]),
                        total=_band(total[:, c, i]),
                        finding=_finding(values[..., c], curve, total[:, c, i]),
                    )
                )
    return Explanation(
        described=fitted.described + drift_words(request.objective, fitted.moved),
        recipes=len(measured),
        inputs=tuple(inputs),
        outputs=tuple(wanted[o] for o in columns),
        unread=tuple(name for o, name in enumerate(wanted) if o not in columns),
        effects=tuple(effects),
    )


def _enough(recipes: int, varied: int) -> None:
    if recipes <= varied:
        raise PlannerError(
            f"too little to explain: {recipes} different recipes gave a reading, and {varied} inputs "
            f"ask for at least {varied + 1}"
        )


def _single(recipes: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The recipes [R] at each of which alone a change is looked for: all of them while they are few."""
    if recipes <= _RECIPES:
        return np.arange(recipes)
    return np.sort(rng.choice(recipes, _RECIPES, replace=False))


def _curves(
    draws: Draws,
    unit: NDArray[np.float64],
    single: NDArray[np.int64],
    i: int,
    grid: NDArray[np.float64],
    ends: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Outputs along input i: averaged over all recipes [n, d] (not over some of them, of which the band would have to
    say how far they stand from the rest) [M, k, m], and at each of those that are looked at alone [M, R, k, m]."""
    kept: list[NDArray[np.float64]] = []
    together: NDArray[np.float64] | float = 0.0
    for begin in range(0, len(unit), _RECIPES):
        some = unit[begin : begin + _RECIPES]
        values = draws(_along(some, i, grid)).reshape(-1, len(some), len(grid), len(ends[0]))
        values = values.clip(*ends)
        together = together + values.sum(axis=1)
        kept.append(values[:, single[(single >= begin) & (single < begin + len(some))] - begin])
    return np.asarray(together / len(unit), dtype=np.float64), np.concatenate(kept, axis=1)


def _grid(variable: "Variable") -> NDArray[np.float64]:
    """Unit values [k] over the whole range: every cell or whole number where they are few."""
    if variable.cells:
        return variable.to_unit(np.array(variable.cells, dtype=np.float64))
    if variable.kind == "integer" and variable.upper - variable.lower < _GRID:
        return variable.to_unit(np.arange(variable.lower, variable.upper + 1.0))
    return variable.to_unit(variable.from_unit(np.linspace(0.0, 1.0, _GRID)))


def _along(recipes: NDArray[np.float64], i: int, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every recipe [R, d] with every grid value [k] of input i: [R k, d]."""
    points = np.repeat(recipes, len(grid), axis=0)
    points[:, i] = np.tile(grid, len(recipes))
    return points


def _input(space: "SearchSpace", i: int, grid: NDArray[np.float64], unit: NDArray[np.float64]) -> Input:
    variable = space.variables[i]
    raw = variable.from_unit(unit[:, i])
    return Input(
        name=variable.name,
        unit=variable.unit,
        levels=variable.levels,
        log=variable.scale == "log",
        continuous=variable.kind == "continuous",
        grid=tuple(float(value) for value in variable.from_unit(grid)),
        tried=(float(raw.min()), float(raw.max())),
        share=_share(variable, unit[:, i]),
    )


def _share(variable: "Variable", unit: NDArray[np.float64]) -> float:
    """How much of the range was tried: the distance between the outermost values, or the share of levels."""
    if variable.kind == "categorical":
        return float(len(np.unique(distinct(unit[:, None]))) - 1) / (len(variable.levels) - 1)
    edges = variable.to_unit(np.array([variable.lower, variable.upper]))
    return float(min(np.ptp(unit) / np.ptp(edges), 1.0))


def _band(values: NDArray[np.float64]) -> Band:
    """The band of draws [M]."""
    return Band(*(float(value) for value in np.quantile(values, _QUANTILES)))


def _change(curve: NDArray[np.float64], grid: tuple[float, ...]) -> Change:
    """Between the extremes of the mean of the draws' curves [M, k]."""
    mean = curve.mean(axis=0)
    start, end = sorted((int(np.argmin(mean)), int(np.argmax(mean))))
    return Change(grid[start], grid[end], _band(curve[:, end] - curve[:, start]))


def _finding(values: NDArray[np.float64], curve: NDArray[np.float64], total: NDArray[np.float64]) -> Finding:
    """What draws along one input at recipes [M, R, k], and averaged over all of them [M, k], and its total indices [M]
    come to.

    Shown, when between two values of the input, at a recipe or on the average over recipes, the change of the output
    leaves zero out of a band that holds the changes of 95 % of the draws at all pairs of values and all recipes at once
    (the maximum of the standardised deviations: Montiel Olea & Plagborg-Moller, J. Appl. Econom. 2019, 34, 1).
    """
    rows = np.concatenate([values, curve[:, None]], axis=1)
    left, right = np.triu_indices(rows.shape[2], 1)
    changes = rows[:, :, right] - rows[:, :, left]
    mean, sd = changes.mean(axis=0), changes.std(axis=0)
    sd = sd + _TINY * max(float(np.abs(rows).max()), _TINY)
    furthest = np.max(np.abs(changes - mean) / sd, axis=(1, 2))
    if float(np.max(np.abs(mean) / sd)) > float(np.quantile(furthest, _SURE)):
        return "shown"
    return "small" if float(np.quantile(total, _QUANTILES[-1])) < _SMALL else "unknown"


def _sobol_indices(
    request: "Request", draws: Draws, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First-order and total Sobol' indices of every draw and output: [M, m, d] each, within 0 to 1."""
    from scipy.stats import sobol_indices

    d = request.space.dimension
    both = sobol(2 * d, _SAMPLES, rng)
    a, b = snap(request, both[:, :d]), snap(request, both[:, d:])
    mixed = np.repeat(a[None], d, axis=0)
    for i in range(d):
        mixed[i, :, i] = b[:, i]
    values = draws(np.concatenate([a, b, mixed.reshape(-1, d)]))  # M x (d + 2) N x m
    members, _, outputs = values.shape
    # scipy wants one row for each function, here every output of every draw.
    rows = values.reshape(members, d + 2, _SAMPLES, outputs).transpose(1, 0, 3, 2).reshape(d + 2, -1, _SAMPLES)
    found = sobol_indices(func={"f_A": rows[0], "f_B": rows[1], "f_AB": rows[2:]}, n=_SAMPLES)
    first, total = (
        np.clip(np.nan_to_num(each), 0.0, 1.0).reshape(members, outputs, d)
        for each in (found.first_order, found.total_order)
    )
    return first, total
