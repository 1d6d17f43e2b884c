"""The search space: named variables with bounds, and the map between their raw units and the unit cube.

Surrogates and candidates live in the unit cube; everything that leaves the planner is in raw units.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planners.errors import PlannerError

Scale = Literal["linear", "log"]
Kind = Literal["continuous", "integer"]

_RELATIVE_SLACK = 1e-9


@dataclass(frozen=True)
class Variable:
    """One variable of the search space.

    A variable with `lower == upper` is fixed: it takes part in every recipe and in no search. A `log` variable is
    uniform in its logarithm and needs a positive lower bound. An `integer` variable gives every whole number between
    its bounds a cell of the unit interval (of equal width when linear).

    Raises:
        PlannerError: empty name, bounds that are not finite or not in order, a log scale that reaches zero, or whole
            number bounds that are not whole.
    """

    name: str
    lower: float
    upper: float
    scale: Scale = "linear"
    kind: Kind = "continuous"
    unit: str = ""

    def __post_init__(self) -> None:
        where = f"variable {self.name!r}"
        if not self.name:
            raise PlannerError("a variable needs a name")
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

    @property
    def fixed(self) -> bool:
        """True when the bounds leave a single value."""
        return self.lower == self.upper

    def _edges(self) -> tuple[float, float]:
        """Ends of the unit interval on the searched scale; whole numbers own half a step beyond their bounds."""
        half = 0.5 if self.kind == "integer" else 0.0
        lower, upper = self.lower - half, self.upper + half
        return (math.log(lower), math.log(upper)) if self.scale == "log" else (lower, upper)

    def to_unit(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raw values -> unit interval (0.5 for a fixed variable). Values outside the bounds are clipped."""
        if self.fixed:
            return np.full_like(x, 0.5)
        lower, upper = self._edges()
        inside = np.clip(x, self.lower, self.upper)
        scaled = np.log(inside) if self.scale == "log" else inside
        return np.clip((scaled - lower) / (upper - lower), 0.0, 1.0)

    def from_unit(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unit interval -> raw values, always inside the bounds, whole where the variable is an integer."""
        if self.fixed:
            return np.full_like(u, self.lower)
        lower, upper = self._edges()
        scaled = lower + np.clip(u, 0.0, 1.0) * (upper - lower)
        raw = np.exp(scaled) if self.scale == "log" else scaled
        if self.kind == "integer":
            raw = np.rint(raw)
        return np.clip(raw, self.lower, self.upper)


@dataclass(frozen=True)
class SearchSpace:
    """Variables in a fixed order; the order of every `x` of the planners.

    Raises:
        PlannerError: no variables, or two with one name.
    """

    variables: tuple[Variable, ...]

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
        return inside
