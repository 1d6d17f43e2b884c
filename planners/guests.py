"""Optimisers of other projects as strategies: our initial design, then what their library asks for.

A library is told every reading anew for each proposal, so nothing is kept between proposals. It sees continuous
variables in the unit cube (so a log scale is one), whole numbers, values at their places on the scale, and levels by
name. None of them takes a function that says what a rig may run, or learns from a failure that has no reading: failures
are left out, and where what is asked for may not be run or was run before, the nearest candidate that may is run
instead. Archives are left out too.
"""

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planners import designs
from planners.errors import PlannerError
from planners.evidence import Measured
from planners.objective import Wanted
from planners.records import Proposal, Recommendation, Request
from planners.sampling import as_recipe, generator, next_in_stream, sobol_stream, started
from planners.sizes import Sized
from planners.space import SearchSpace, Variable

_CANDIDATES = 512
_LEAST_READINGS = 2

Cell = float | int | str
"""What a library is told of one variable."""


@dataclass(frozen=True)
class Guest(ABC):
    """A strategy of another library."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The strategy's public name, that of the extra that installs it and of the package that it imports."""

    @property
    @abstractmethod
    def described(self) -> str:
        """What the library does with the readings, in a few words."""

    @abstractmethod
    def ask(self, table: "Table", seed: int) -> dict[str, Cell]:
        """The recipe that the library wants next, by the names of the variables that are not fixed."""

    def propose(self, request: Request) -> Proposal:
        """See `planners.Strategy`.

        Raises:
            PlannerError: the library is not installed, or finds nothing to ask for.
        """
        installed(self.name)
        request = Sized.of(request).request
        measured = Measured.of(request)
        begun = started(request)
        if begun < request.initial or len(measured) < _LEAST_READINGS:
            return designs.initial_proposal(request, self.name, begun, len(measured))
        table = Table.of(request, measured)
        seed = int(generator(request.seed, len(request.observations), len(request.pending), 0x60E57).integers(2**31))
        from planners.heavy import one_thread

        with one_thread(), undisturbed(seed):
            asked = table.unit(self.ask(table, seed))
        point, moved = _runnable(request, measured, asked, seed)
        reason = f"{self.described}, told {len(measured)} recipes that gave a reading, asks for this one"
        return Proposal(
            x=as_recipe(request, point),
            strategy=self.name,
            phase="model",
            acquisition=self.described,
            compared=1,
            reason=f"{reason}; the nearest to it that can be run." if moved else f"{reason}.",
        )

    def recommend(self, request: Request) -> Recommendation:
        """See `planners.Strategy`; only measured recipes are recommended."""
        from planners.recommending import recommend

        return recommend(None, request)


def _several(objective: Wanted) -> bool:
    return objective.target is None and len(objective.outputs) > 1


@dataclass(frozen=True)
class Table:
    """Readings as a library is told them: variables that are not fixed, a row of cells for each recipe, the mean of the
    first output and the utility of each, and the objective. Where the extreme of several outputs is sought, the utility
    stands in for the first."""

    space: SearchSpace
    variables: tuple[Variable, ...]
    rows: tuple[dict[str, Cell], ...]
    first: NDArray[np.float64]
    utility: NDArray[np.float64]
    objective: Wanted

    @classmethod
    def of(cls, request: Request, measured: Measured) -> "Table":
        space = request.space
        variables = tuple(variable for variable in space.variables if not variable.fixed)
        rows = tuple(
            {
                variable.name: _cell(variable, float(raw), float(unit))
                for variable, raw, unit in zip(space.variables, x, place, strict=True)
                if not variable.fixed
            }
            for x, place in zip(measured.x, measured.unit, strict=True)
        )
        utility = request.objective.score_rows(measured.readings)
        first = utility if _several(request.objective) else measured.readings[:, 0]
        return cls(space, variables, rows, first, utility, request.objective)

    @property
    def minimised(self) -> bool:
        """Whether less of the first output is better, where there is no target."""
        return not _several(self.objective) and bool(self.objective.shortfall(np.array([0.0, 1.0]))[0] == 0.0)

    def unit(self, asked: dict[str, Cell]) -> NDArray[np.float64]:
        """What a library asks for as a unit point [d].

        Raises:
            PlannerError: a number that is not finite.
        """
        point = np.full(self.space.dimension, 0.5)
        for i, variable in enumerate(self.space.variables):
            if variable.fixed:
                continue
            cell = asked[variable.name]
            if isinstance(cell, str):
                point[i] = (variable.levels.index(cell) + 0.5) / len(variable.levels)
                continue
            raw = np.array([float(cell)])
            if not np.isfinite(raw).all():
                raise PlannerError(f"{variable.name}: the library asks for {cell!r}")
            if variable.kind == "integer":
                point[i] = variable.to_unit(raw)[0]
            elif variable.kind == "discrete":
                point[i] = (int(np.argmin(np.abs(places(variable) - raw))) + 0.5) / len(variable.values)
            else:
                point[i] = np.clip(raw[0], 0.0, 1.0)
        return point


def places(variable: Variable) -> NDArray[np.float64]:
    """The values of a discrete variable, as places on its scale from 0 to 1."""
    cells = (np.arange(len(variable.values)) + 0.5) / len(variable.values)
    return np.round(variable.encode(cells)[:, 0], 12)


def _cell(variable: Variable, raw: float, unit: float) -> Cell:
    if variable.kind == "categorical":
        return variable.levels[int(raw)]
    if variable.kind == "integer":
        return int(raw)
    if variable.kind == "discrete":
        return float(places(variable)[int(np.argmin(np.abs(np.array(variable.values) - raw)))])
    return unit


def _runnable(
    request: Request, measured: Measured, asked: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], bool]:
    """The point [d] if it can be run and was not, else the nearest candidate that can; and whether it is another."""
    from planners.candidates import around, keep, pool

    if request.candidates is None:
        exact = keep(request, asked[None, :])
        if len(exact):
            return exact[0], False
    rng = generator(seed)
    points = pool(request, measured.unit, measured.readings[:, 0], spread=_CANDIDATES, local=_CANDIDATES, rng=rng)
    if request.candidates is None:
        near = [around(asked, radius, _CANDIDATES // 4, rng) for radius in (0.3, 0.1, 0.03, 0.01)]
        points = np.concatenate([points, keep(request, np.concatenate(near))])
    if len(points) == 0:
        return next_in_stream(request, sobol_stream(request), "a library's search")[0], True
    gaps = np.sum((request.space.encode(points) - request.space.encode(asked[None, :])) ** 2, axis=1)
    nearest = int(np.argmin(gaps))
    return points[nearest], bool(gaps[nearest] > 0.0)


def installed(name: str) -> None:
    """Refuse where a library is missing, without importing it.

    Raises:
        PlannerError: it is not installed; with the command that installs it.
    """
    if importlib.util.find_spec(name) is None:
        raise PlannerError(
            f"strategy {name!r} needs the package of that name, which is not installed: pip install 'lumiflow[{name}]'"
        )


@contextmanager
def undisturbed(seed: int) -> Iterator[None]:
    """Seed the global generators of torch, numpy and Python for a library that draws from them, and leave all as it
    was: generators, torch's default type and whether it keeps gradients, warnings and logs."""
    import logging
    import random

    import torch

    from planners.gp import quiet

    legacy, plain = np.random.get_state(), random.getstate()
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    disabled = logging.root.manager.disable
    with quiet(seed):
        np.random.seed(seed)
        random.seed(seed)
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(disabled)
            torch.set_default_dtype(dtype)
            torch.set_grad_enabled(grad)
            np.random.set_state(legacy)
            random.setstate(plain)
