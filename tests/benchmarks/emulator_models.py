"""Emulators of tables of real experiments, of two families, and the space in which a planner chooses freely on them.

An emulator is a regression fitted to the conditions of a pool: extremely randomised trees, or a Gaussian process. How
far it can be believed is its R2 on conditions that it was not fitted to. A planner that models with one family is only
tested on an emulator of the other: otherwise it would be told, in effect, that its assumptions are the truth. The
ensemble's wide networks are nearly Gaussian processes (Lee et al., ICLR 2018), and support vectors with a radial kernel
are the mean of one up to the loss, so both count as that family.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import qmc

from orchestrator.pool import LoadedSpec, Pool
from orchestrator.pool.conditions import PoolGoal
from orchestrator.pool.replay import search_space
from planners import SearchSpace, Variable

Family = Literal["trees", "gaussian process"]
Array = NDArray[np.float64]

FAMILY_OF: Mapping[str, Family | None] = MappingProxyType(
    {
        **dict.fromkeys(("forest", "boosting"), "trees"),
        **dict.fromkeys(("gp", "gp_scalar", "kriging", "ensemble", "support_vectors"), "gaussian process"),
        **dict.fromkeys(("baybe", "ax", "bofire"), "gaussian process"),
        **dict.fromkeys(("random", "sobol", "latin", "snobfit", "genetic", "cma_es", "nelder_mead")),
    }
)
"""What each strategy models with; None: with nothing that is fitted to all readings."""

NOISE = 0.02
"""Standard deviation of a reading, as a share of that of the table's values."""
FOLDS = 10
SOBOL_RECIPES = 20_000
"""Recipes among which an emulator's best is looked for, beside the table's own conditions."""
_TREES = 300
_LEAF = 2
_SEED = 20


def may_run(arm: str, family: Family) -> bool:
    """Whether an arm may be tested on an emulator of this family.

    Raises:
        KeyError: an arm of which nobody has said what it models with.
    """
    return FAMILY_OF[arm] != family


@dataclass(frozen=True)
class FreeSpace:
    """The variables of a pool for a free choice, and as the emulator knows them.

    ``space`` is what a planner sees: the numbers of a vector, which belong to one substance, are one categorical choice
    among the combinations that the table holds. ``known`` is the space of the pool's own columns. ``held``: for each
    variable of ``space`` the combinations [k, length] that its levels stand for, or None for a variable that is itself.
    """

    space: SearchSpace
    known: SearchSpace
    held: tuple[Array | None, ...]

    @classmethod
    def of(cls, pool: Pool, loaded: LoadedSpec) -> FreeSpace:
        """The free space of a pool."""
        known = search_space(pool)
        variables: list[Variable] = []
        held: list[Array | None] = []
        at = 0
        for name, entry in loaded.config.inputs.items():
            if entry.kind == "vector":
                length = entry.length or 1
                combinations = sorted({x[at : at + length] for x in pool.x})
                levels = tuple(f"{name} {number}" for number in range(1, len(combinations) + 1))
                variables.append(Variable(name, kind="categorical", levels=levels))
                held.append(np.array(combinations))
                at += length
            else:
                variables.append(known.variables[at])
                held.append(None)
                at += 1
        return cls(SearchSpace(tuple(variables)), known, tuple(held))

    def as_known(self, x: ArrayLike) -> Array:
        """Recipes of a planner [n, d] in the pool's columns [n, D]."""
        rows = self.space.rows(x)
        columns = [
            rows[:, [i]] if each is None else each[np.rint(rows[:, i]).astype(np.int64)]
            for i, each in enumerate(self.held)
        ]
        return np.concatenate(columns, axis=1)

    def features(self, x: ArrayLike) -> Array:
        """Recipes of a planner [n, d] as the emulator's features."""
        return self.known.encode(self.known.to_unit(self.as_known(x)))


@dataclass(frozen=True)
class Emulator:
    """A table's emulator. ``noise`` is the standard deviation of a reading, in the output's unit."""

    family: Family
    pool: Pool
    free: FreeSpace
    noise: float
    model: Any

    @classmethod
    def of(cls, pool: Pool, loaded: LoadedSpec, family: Family) -> Emulator:
        """Fit an emulator to all conditions of a pool that gave a reading."""
        x, y = _fitted_to(pool)
        return cls(family, pool, FreeSpace.of(pool, loaded), NOISE * float(np.std(y)), _fitted(family, x, y))

    def truth(self, x: ArrayLike) -> Array:
        """The noiseless values [n] of recipes of a planner [n, d]."""
        return np.asarray(self.model.predict(self.free.features(x)), dtype=np.float64)

    @cached_property
    def conditions(self) -> Array:
        """The noiseless values of the table's own conditions [n]."""
        return np.asarray(self.model.predict(_fitted_to(self.pool)[0]), dtype=np.float64)

    @cached_property
    def recipes(self) -> Array:
        """Recipes of a planner that fill the space evenly [20000, d]."""
        space = self.free.space
        drawn = qmc.Sobol(space.dimension, rng=_SEED).random(1 << (SOBOL_RECIPES - 1).bit_length())
        return space.from_unit(drawn[:SOBOL_RECIPES])

    @cached_property
    def everywhere(self) -> Array:
        """The noiseless values of those recipes and of the table's conditions [20000 + n]."""
        return np.concatenate([self.truth(self.recipes), self.conditions])

    def share(self, goal: PoolGoal) -> float:
        """Which share of the recipes everywhere lies within the tolerance of a target."""
        return float(np.mean(np.abs(self.everywhere - (goal.target or 0.0)) <= goal.tolerance))

    def regret(self, goal: PoolGoal, values: ArrayLike) -> Array:
        """How far noiseless values [n] are from the best one everywhere, in the range from the median of the table's
        conditions to it [n]: 0 at the best, 1 at the median, negative beyond the best of those recipes."""
        sign = 1.0 if goal.goal == "maximise" else -1.0
        best = float(np.max(sign * self.everywhere))
        middle = float(np.median(sign * self.conditions))
        return (best - sign * np.asarray(values, dtype=np.float64)) / max(best - middle, 1e-12)


def cross_validated_r2(pool: Pool, family: Family) -> float:
    """The share of the variance that an emulator predicts on conditions left out, one tenth of them at a time.

    Every condition is one row, whatever its replicates, so none is in two folds.
    """
    from sklearn.metrics import r2_score
    from sklearn.model_selection import KFold

    x, y = _fitted_to(pool)
    predicted = np.empty_like(y)
    for kept, left_out in KFold(min(FOLDS, len(y)), shuffle=True, random_state=_SEED).split(x):
        predicted[left_out] = _fitted(family, x[kept], y[kept]).predict(x[left_out])
    return float(r2_score(y, predicted))


def _fitted_to(pool: Pool) -> tuple[Array, Array]:
    """Features [n, D] and values [n] of the conditions that gave a reading."""
    space = search_space(pool)
    known = [(x, value) for x, value in zip(pool.x, pool.values, strict=True) if value is not None]
    return space.encode(space.to_unit([x for x, _ in known])), np.array([value for _, value in known])


def _fitted(family: Family, x: Array, y: Array) -> Any:
    """Extremely randomised trees (Geurts et al., Mach. Learn. 63:3, 2006), or a Gaussian process with a Matern 5/2
    kernel, a length for each feature and white noise, fitted to features [n, D] and values [n]."""
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    if family == "trees":
        return ExtraTreesRegressor(_TREES, min_samples_leaf=_LEAF, random_state=_SEED).fit(x, y)
    lengths = Matern(np.full(x.shape[1], 0.5), (0.02, 50.0), nu=2.5)
    kernel = ConstantKernel(1.0, (0.01, 100.0)) * lengths + WhiteKernel(0.05, (1e-5, 1.0))
    model = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1, random_state=_SEED)
    with warnings.catch_warnings():
        # A length at its bound is an input that does not matter, which is an answer.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y)
