"""Optimisers of other projects as strategies: our initial design, then what their library asks for.

A library is told every reading anew for each proposal, so nothing is kept between proposals. It sees continuous
variables in the unit cube (so a log scale is one), whole numbers, values at their places on the scale, and levels; all
under names of our own, so that none is taken for a word of the library's. Readings of archives are told like the
campaign's own, and recipes that are under way as pending. None of them takes a function that says what a rig may run:
where what is asked for may not be run or was run before, the nearest candidate that may is run instead. Nor does one
learn from a failure that has no number, so where there is a score it is given one (`Table`).
"""

import importlib.util
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planners import designs
from planners.errors import PlannerError
from planners.evidence import Measured, archived_readings
from planners.objective import Wanted
from planners.records import Proposal, Recommendation, Request
from planners.sampling import as_recipe, generator, next_in_stream, recipe_groups, sobol_stream, started
from planners.sizes import Sized
from planners.space import SearchSpace, Variable

_CANDIDATES = 512
_LEAST_READINGS = 2
_SAID = 200
"""So much of what a library says of an error is passed on."""
_MOST_ALONE, _MOST_BESIDE = 65_536, 512
"""Most combinations of whole numbers, values and levels that a library goes through: where there is nothing else it
lists them, and beside continuous variables it searches these for each of them; either takes about half a minute."""

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

    @property
    def enumerates(self) -> bool:
        """Whether the library goes through all combinations of whole numbers, values and levels."""
        return True

    @property
    def aims(self) -> bool:
        """Whether the library is told a target as such, and first outputs; else it is told the utility alone."""
        return True

    @abstractmethod
    def ask(self, table: "Table", seed: int) -> dict[str, Cell]:
        """The recipe that the library wants next, by the names of the table's variables."""

    def propose(self, request: Request) -> Proposal:
        """See `planners.Strategy`.

        Raises:
            PlannerError: the library is not installed, refuses what it is told, or finds nothing to ask for; or it
                would have to go through too many combinations.
        """
        installed(self.name)
        request = Sized.of(request).request
        measured = Measured.of(request)
        archived = len(archived_readings(request))
        begun, readings = started(request) + archived, len(measured) + archived
        if begun < request.initial or readings < _LEAST_READINGS:
            first = designs.initial_proposal(request, self.name, begun, readings, least=_LEAST_READINGS)
            if first is not None:
                return first
        table = Table.of(request, measured, self)
        seed = int(generator(request.seed, len(request.observations), len(request.pending), 0x60E57).integers(2**31))
        from planners.heavy import one_thread

        with one_thread(), undisturbed(seed):
            asked = table.unit(self._asked(table, seed))
        point, moved = _runnable(request, measured, asked, seed)
        known = f"{len(measured)} recipes that gave a reading"
        known += f" and {archived} readings of archives" if archived else ""
        reason = f"{self.described}, told {known}, asks for this one"
        return Proposal(
            x=as_recipe(request, point),
            strategy=self.name,
            phase="model",
            acquisition=self.described,
            compared=1,
            reason=f"{reason}; the nearest to it that can be run." if moved else f"{reason}.",
        )

    def _asked(self, table: "Table", seed: int) -> dict[str, Cell]:
        """What the library asks for, whatever it raises said in our words."""
        if not table.variables:
            return {}
        try:
            return self.ask(table, seed)
        except PlannerError:
            raise
        except Exception as error:
            said = " ".join(str(error).split())
            raise PlannerError(f"{self.name} could not propose: {type(error).__name__}: {said[:_SAID]}") from error

    def recommend(self, request: Request) -> Recommendation:
        """See `planners.Strategy`; only measured recipes are recommended."""
        from planners.recommending import recommend

        return recommend(None, request)


def _lost(request: Request, measured: Measured) -> list[tuple[float, ...]]:
    """The recipes that failed, here or in an archive, and gave no reading in this campaign; each once."""
    failed = [o.x for o in request.known() if o.failed]
    groups = recipe_groups(request, [*measured.x, *failed])
    _, heads = np.unique(groups, return_index=True)
    return [failed[head - len(measured)] for head in np.sort(heads).tolist() if head >= len(measured)]


def _several(objective: Wanted) -> bool:
    return objective.target is None and len(objective.outputs) > 1


@dataclass(frozen=True)
class Table:
    """Readings as a library is told them: variables that are not fixed, a row of cells for each recipe, the mean of the
    first output and the utility of each, the objective, and a row for each recipe that is under way. Where the extreme
    of several outputs is sought, the utility stands in for the first.

    After the campaign's own recipes come archived readings, one a row, and then the recipes that failed and gave no
    reading here, as bad as the worst reading of all: a library has no other word for a failure, and not knowing of it
    asks for the same place again. But one that aims at a target learns where the first output lies, which of a failure
    nobody knows, and a made-up one bends its model more than it helps (docs/decisions/0064): it is told of none.

    Variables and levels have names of our own, in the order of theirs: libraries sort by name. Where all combinations
    would be too many for a library that goes through them, whole numbers are continuous to it and are rounded."""

    space: SearchSpace
    variables: tuple[Variable, ...]
    rows: tuple[dict[str, Cell], ...]
    first: NDArray[np.float64]
    utility: NDArray[np.float64]
    objective: Wanted
    pending: tuple[dict[str, Cell], ...]

    @classmethod
    def of(cls, request: Request, measured: Measured, guest: Guest) -> "Table":
        """What this guest is told.

        Raises:
            PlannerError: it would have to go through too many combinations.
        """
        space = request.space
        free = [i for i, variable in enumerate(space.variables) if not variable.fixed]
        variables = _named([space.variables[i] for i in free])
        if guest.enumerates:
            variables = _few_combinations(variables, guest.name)

        def row(x: Sequence[float]) -> dict[str, Cell]:
            place = space.to_unit([x])[0]
            return {v.name: _cell(v, float(x[i]), float(place[i])) for i, v in zip(free, variables, strict=True)}

        objective = request.objective
        archived = [o.x for archive in request.archives for o in archive.observations if not o.failed]
        lost = _lost(request, measured) if objective.target is None or not guest.aims else []
        readings = np.concatenate([measured.readings, archived_readings(request)])
        utility = objective.score_rows(readings)
        first = utility if _several(objective) else readings[:, 0]
        if lost:
            worst = [int(np.argmin(utility))] * len(lost)
            first, utility = np.append(first, first[worst]), np.append(utility, utility[worst])
        rows = tuple(map(row, [*measured.x, *archived, *lost]))
        return cls(space, variables, rows, first, utility, objective, tuple(map(row, request.pending)))

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
        told = iter(self.variables)
        for i, own in enumerate(self.space.variables):
            if own.fixed:
                continue
            variable = next(told)
            cell = asked[variable.name]
            if isinstance(cell, str):
                point[i] = (variable.levels.index(cell) + 0.5) / len(variable.levels)
                continue
            raw = np.array([float(cell)])
            if not np.isfinite(raw).all():
                raise PlannerError(f"{own.name}: the library asks for {cell!r}")
            if variable.kind == "integer":
                point[i] = variable.to_unit(raw)[0]
            elif variable.kind == "discrete":
                point[i] = (int(np.argmin(np.abs(places(variable) - raw))) + 0.5) / len(variable.values)
            else:
                point[i] = np.clip(raw[0], 0.0, 1.0)
        return point


def _named(variables: Sequence[Variable]) -> tuple[Variable, ...]:
    """The variables with names of our own for themselves and their levels, which sort as theirs do."""

    def in_order(names: Sequence[str], letter: str) -> list[str]:
        width = len(str(len(names)))
        place = {name: rank for rank, name in enumerate(sorted(names))}
        return [f"{letter}{place[name]:0{width}d}" for name in names]

    return tuple(
        replace(variable, name=name, levels=tuple(in_order(variable.levels, "level_")))
        for variable, name in zip(variables, in_order([v.name for v in variables], "input_"), strict=True)
    )


def _few_combinations(variables: tuple[Variable, ...], strategy: str) -> tuple[Variable, ...]:
    """The variables, with whole numbers as continuous ones, those of the widest range first, until all combinations of
    the others are few enough to go through.

    Raises:
        PlannerError: values and levels alone are too many.
    """
    kept = list(variables)
    while True:
        count = math.prod(_cells(variable) for variable in kept)
        most = _MOST_BESIDE if any(variable.kind == "continuous" for variable in kept) else _MOST_ALONE
        if count <= most:
            return tuple(kept)
        whole = [i for i, variable in enumerate(kept) if variable.kind == "integer"]
        if not whole:
            beside = " beside continuous variables" if most == _MOST_BESIDE else ""
            raise PlannerError(
                f"{strategy} goes through all combinations of values and levels: here {count}, at most {most}{beside}; "
                "make them fewer, or take a strategy of Lumiflow's own"
            )
        widest = max(whole, key=lambda i: _cells(kept[i]))
        kept[widest] = replace(kept[widest], kind="continuous")


def _cells(variable: Variable) -> int:
    return round(variable.upper - variable.lower) + 1 if variable.kind == "integer" else max(1, len(variable.cells))


def distinct_places(variable: Variable) -> tuple[float, ...]:
    """The places of a discrete variable's values that a library can tell apart."""
    return tuple(dict.fromkeys(map(float, places(variable))))


def places(variable: Variable) -> NDArray[np.float64]:
    """The values of a discrete variable, as places on its scale from 0 to 1. Two that are very close share one."""
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
    from planners.modelled import known_places

    if request.candidates is None:
        exact = keep(request, asked[None, :])
        if len(exact):
            return exact[0], False
    rng = generator(seed)
    places, first = known_places(request, measured)
    points = pool(request, places, first, spread=_CANDIDATES, local=_CANDIDATES, rng=rng)
    if request.candidates is None:
        near = [around(asked, radius, _CANDIDATES // 4, rng) for radius in (0.3, 0.1, 0.03, 0.01)]
        points = np.concatenate([points, keep(request, np.concatenate(near))])
    if len(points) == 0:
        return next_in_stream(request, sobol_stream(request), "a library's search").point, True
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
