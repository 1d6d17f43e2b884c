"""The search space: named variables with bounds, and the map between their raw units and the unit cube.

Candidates live in the unit cube and surrogates in the features that `SearchSpace.encode` makes of it; everything that
leaves the planner is in raw units.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planners.errors import PlannerError

Scale = Literal["linear", "log"]
Kind = Literal["continuous", "integer", "discrete", "categorical"]

_RELATIVE_SLACK = 1e-9

_OTHER_SOURCE = 0.1
"""How far from the present an archive is as a feature, beside inputs of the unit cube: at the gains that are usual for
an input, the two then differ by a twentieth of an output's spread. A fitted gain makes that more or less."""


@dataclass(frozen=True)
class Variable:
    """One variable of the search space.

    A variable with `lower == upper` is fixed: it takes part in every recipe and in no search. A `log` variable is
    uniform in its logarithm and needs a positive lower bound. An `integer` variable gives every whole number between
    its bounds a cell of the unit interval (of equal width when linear). A `discrete` variable takes one of `values`, a
    `categorical` one the index of one of `levels`; their bounds follow, and each value has a cell of equal width.

    Raises:
        PlannerError: empty name, bounds that are not finite or not in order, a log scale that reaches zero, whole
            number bounds that are not whole, or values or levels that are absent, repeated or out of place.
    """

    name: str
    lower: float = math.nan
    upper: float = math.nan
    scale: Scale = "linear"
    kind: Kind = "continuous"
    unit: str = ""
    values: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = f"variable {self.name!r}"
        if not self.name:
            raise PlannerError("a variable needs a name")
        self._check_cells(where)
        if self.scale not in get_args(Scale):
            raise PlannerError(f"{where}: scale {self.scale!r} is not one of {', '.join(get_args(Scale))}")
        if self.kind not in get_args(Kind):
            raise PlannerError(f"{where}: kind {self.kind!r} is not one of {', '.join(get_args(Kind))}")
        if not (math.isfinite(self.lower) and math.isfinite(self.upper)):
            raise PlannerError(f"{where}: bounds {self.lower!r} to {self.upper!r} are not finite")
        if self.lower > self.upper:
            raise PlannerError(f"{where}: lower bound {self.lower:g} is above the upper bound {self.upper:g}")
        if self.scale == "log" and self.lower <= 0:
            raise PlannerError(f"{where}: a log scale needs a positive lower bound, not {self.lower:g}")
        if self.kind == "integer" and not (float(self.lower).is_integer() and float(self.upper).is_integer()):
            raise PlannerError(f"{where}: an integer needs whole bounds, not {self.lower:g} to {self.upper:g}")
        if not math.isfinite(self.upper - self.lower):
            raise PlannerError(f"{where}: the width of {self.lower:g} to {self.upper:g} overflows")

    def _check_cells(self, where: str) -> None:
        """Values and levels, and the bounds that follow from them."""
        for kind, given, field in (("discrete", self.values, "values"), ("categorical", self.levels, "levels")):
            if self.kind != kind:
                if given:
                    raise PlannerError(f"{where}: {field} belong to a {kind} variable, not to a {self.kind} one")
                continue
            if not (math.isnan(self.lower) and math.isnan(self.upper)):
                bounds = (min(self.values), max(self.values)) if self.values else (0.0, len(self.levels) - 1.0)
                if (self.lower, self.upper) != bounds:
                    raise PlannerError(f"{where}: the bounds of a {kind} variable follow from its {field}")
            if not given or len(set(given)) != len(given):
                raise PlannerError(f"{where}: a {kind} variable needs {field}, each of them once, not {given!r}")
        if self.kind == "discrete":
            if not all(math.isfinite(value) for value in self.values):
                raise PlannerError(f"{where}: values {self.values!r} are not all finite")
            object.__setattr__(self, "values", tuple(sorted(self.values)))
            object.__setattr__(self, "lower", self.values[0])
            object.__setattr__(self, "upper", self.values[-1])
        elif self.kind == "categorical":
            if self.scale != "linear":
                raise PlannerError(f"{where}: levels have no scale")
            object.__setattr__(self, "lower", 0.0)
            object.__setattr__(self, "upper", len(self.levels) - 1.0)

    @property
    def fixed(self) -> bool:
        """True when the bounds leave a single value."""
        return self.lower == self.upper

    @property
    def cells(self) -> tuple[float, ...]:
        """Raw values that own a cell of the unit interval; empty for continuous and integer variables."""
        return self.values or tuple(float(index) for index in range(len(self.levels)))

    @property
    def width(self) -> int:
        """Number of features that a surrogate sees of this variable."""
        return len(self.levels) if self.kind == "categorical" and not self.fixed else 1

    def _edges(self) -> tuple[float, float]:
        """Ends of the unit interval on the searched scale; whole numbers own half a step beyond their bounds."""
        half = 0.5 if self.kind == "integer" else 0.0
        lower, upper = self.lower - half, self.upper + half
        return (math.log(lower), math.log(upper)) if self.scale == "log" else (lower, upper)

    def to_unit(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raw values -> unit interval (0.5 for a fixed variable). Values outside the bounds are clipped."""
        if self.fixed:
            return np.full_like(x, 0.5)
        if self.cells:
            return (self._cell(x) + 0.5) / len(self.cells)
        lower, upper = self._edges()
        inside = np.clip(x, self.lower, self.upper)
        scaled = np.log(inside) if self.scale == "log" else inside
        return np.clip((scaled - lower) / (upper - lower), 0.0, 1.0)

    def from_unit(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unit interval -> raw values, always inside the bounds, whole where the variable is an integer."""
        if self.fixed:
            return np.full_like(u, self.lower)
        if self.cells:
            index = np.clip(np.floor(u * len(self.cells)), 0, len(self.cells) - 1).astype(np.int64)
            return np.array(self.cells, dtype=np.float64)[index]
        lower, upper = self._edges()
        scaled = lower + np.clip(u, 0.0, 1.0) * (upper - lower)
        raw = np.exp(scaled) if self.scale == "log" else scaled
        if self.kind == "integer":
            raw = np.rint(raw)
        return np.clip(raw, self.lower, self.upper)

    def encode(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unit interval [n] -> what a surrogate sees [n, width]: a level one-hot, a discrete value at its place on the
        scale, anything else as it is."""
        if self.fixed or not self.cells:
            return u[:, None]
        raw = self.from_unit(u)
        if self.kind == "categorical":
            return np.asarray(raw[:, None] == np.array(self.cells), dtype=np.float64)
        lower, upper = self._edges()
        scaled = np.log(raw) if self.scale == "log" else raw
        return ((scaled - lower) / (upper - lower))[:, None]

    def _cell(self, x: NDArray[np.float64]) -> NDArray[np.int64]:
        """Index of the nearest cell of each raw value."""
        return np.asarray(np.argmin(np.abs(x[:, None] - np.array(self.cells)), axis=1), dtype=np.int64)


@dataclass(frozen=True)
class SearchSpace:
    """Variables in a fixed order; the order of every `x` of the planners.

    `sources` counts the archives of a request (see `planners.Archive`): each adds a feature, and no variable.

    Raises:
        PlannerError: no variables, or two with one name.
    """

    variables: tuple[Variable, ...]
    sources: int = 0

    def __post_init__(self) -> None:
        if not self.variables:
            raise PlannerError("a search space needs at least one variable")
        seen: set[str] = set()
        for name in self.names:
            if name in seen:
                raise PlannerError(f"two variables are named {name!r}")
            seen.add(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(variable.name for variable in self.variables)

    @property
    def dimension(self) -> int:
        """Number of variables, d."""
        return len(self.variables)

    def rows(self, x: ArrayLike) -> NDArray[np.float64]:
        """`x` as an array [n, d]; one recipe [d] becomes one row.

        Raises:
            PlannerError: a width other than d.
        """
        array = np.asarray(x, dtype=np.float64)
        if array.size == 0:
            return np.empty((0, self.dimension))
        array = np.atleast_2d(array)
        if array.ndim != 2 or array.shape[1] != self.dimension:
            raise PlannerError(f"a recipe of shape {array.shape} for the variables {', '.join(self.names)}")
        return array

    def to_unit(self, x: ArrayLike) -> NDArray[np.float64]:
        """Raw units [n, d] -> unit cube [n, d]."""
        rows = self.rows(x)
        return np.column_stack([v.to_unit(rows[:, i]) for i, v in enumerate(self.variables)])

    def from_unit(self, u: ArrayLike) -> NDArray[np.float64]:
        """Unit cube [n, d] -> raw units [n, d], inside the bounds and on the whole numbers."""
        rows = self.rows(u)
        return np.column_stack([v.from_unit(rows[:, i]) for i, v in enumerate(self.variables)])

    def encode(self, u: ArrayLike, source: int | None = None) -> NDArray[np.float64]:
        """Unit cube [n, d] -> features [n, D] for a surrogate: the points themselves where no variable has cells, then
        one feature for each archive, which only recipes that come from this `source` have."""
        rows = self.rows(u)
        if self.sources:
            marks = np.zeros((len(rows), self.sources))
            if source is not None:
                marks[:, source] = _OTHER_SOURCE
            return np.concatenate([self._of_variables(rows), marks], axis=1)
        return self._of_variables(rows)

    def _of_variables(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        if not any(variable.cells for variable in self.variables):
            return rows
        return np.concatenate([v.encode(rows[:, i]) for i, v in enumerate(self.variables)], axis=1)

    def contains(self, x: ArrayLike) -> NDArray[np.bool_]:
        """Which rows of raw units [n, d] lie inside the bounds (to rounding) and on the whole numbers: [n]."""
        rows = self.rows(x)
        inside = np.ones(rows.shape[0], dtype=np.bool_)
        for i, variable in enumerate(self.variables):
            column = rows[:, i]
            slack = _RELATIVE_SLACK * max(abs(variable.lower), abs(variable.upper), variable.upper - variable.lower)
            inside &= np.isfinite(column) & (column >= variable.lower - slack) & (column <= variable.upper + slack)
            if variable.kind == "integer":
                inside &= np.abs(column - np.rint(column)) <= _RELATIVE_SLACK * np.maximum(1.0, np.abs(column))
            elif variable.cells:
                nearest = np.min(np.abs(column[:, None] - np.array(variable.cells)), axis=1)
                inside &= np.nan_to_num(nearest, nan=np.inf) <= slack
        return inside
