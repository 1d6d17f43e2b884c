"""Optimisers of other libraries behind the planners' protocol.

A library's optimiser calls a function and keeps its state between the calls; a strategy keeps none. So its search is
lived through again for every proposal: the `Oracle` answers from the record what was measured, and the first point
that nobody has run ends the search and is the proposal. With one seed that is the same search every time.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planners import designs
from planners.candidates import APART
from planners.errors import PlannerError
from planners.evidence import Measured
from planners.records import Proposal, Recommendation, Request
from planners.sampling import (
    SAME_POINT,
    allowed,
    as_recipe,
    generator,
    listed,
    next_in_order,
    next_in_stream,
    recipe_groups,
    run_or_pending,
    snap,
    sobol_stream,
    started,
    visited,
)
from planners.sizes import Sized

_MOST_ANSWERS = 600
"""A search that gets this many answers, and ten for every recipe run, and asks for none goes round in circles."""
_RESTARTS = 8

Cost = Callable[[NDArray[np.float64]], float]
"""A unit point [d] -> what is to be made small. Raises `Asked` for a point that was not run yet."""


class Asked(Exception):  # noqa: N818 - an answer, not an error
    """The search wants this unit point [d] measured."""

    def __init__(self, point: NDArray[np.float64]) -> None:
        super().__init__("an experiment is wanted")
        self.point = point


class Tired(Exception):  # noqa: N818 - see above
    """The search has been answered often enough."""


class Oracle:
    """The cost (minus the utility) of unit points, from the record.

    A failure costs as much as the worst reading of the initial design and the spread of it; so does what the rig may
    not run. A pending experiment costs the mean of that design. A point within APART of a recipe in every coordinate is
    that recipe. Of a request that lists candidates, a point stands for the nearest that this search has not had yet.
    """

    def __init__(self, request: Request, measured: Measured) -> None:
        self._request = request
        self._places = visited(request)
        groups = recipe_groups(request, run_or_pending(request))
        self.started = self._places[
            [int(np.argmax(groups == g)) for g in range(min(request.initial, groups.max() + 1))]
        ]
        costs = -request.objective.score_rows(measured.readings)
        # What a failure costs must not move as the search goes on, or the search would not be the same one any more.
        gaps = np.max(np.abs(measured.unit[:, None, :] - self.started[None, :, :]), axis=2)
        first = costs[np.min(gaps, axis=1) <= SAME_POINT] if np.any(gaps <= SAME_POINT) else costs[:1]
        self._worst = float(first.max() + np.std(first) + 1e-9)
        self._costs = np.full(len(self._places), self._worst)
        self._costs[len(request.observations) :] = float(np.mean(first))
        for unit, cost in zip(measured.unit, costs, strict=True):
            same = int(np.argmin(np.max(np.abs(self._places - unit), axis=1)))
            self._costs[groups == groups[same]] = cost
        self.answers = 0
        self._had: set[int] = set()
        self._given: dict[bytes, float] = {}
        if request.candidates is not None:
            self._listed = listed(request)
            self._features = request.space.encode(self._listed)
            self._had = {self._candidate_at(point) for point in self.started}

    @property
    def started_costs(self) -> NDArray[np.float64]:
        """The cost of each point of the initial design [k]."""
        return np.array([self._known(point) for point in self.started], dtype=np.float64)

    def __call__(self, unit: NDArray[np.float64]) -> float:
        """See `Cost`."""
        self.answers += 1
        if self.answers > _MOST_ANSWERS + 10 * len(self._places):
            raise Tired
        point = np.clip(np.nan_to_num(np.asarray(unit, dtype=np.float64), nan=0.5), 0.0, 1.0)
        if self._request.candidates is not None:
            return self._of_candidates(point)
        point = snap(self._request, point[None, :])[0]
        known = self._known(point)
        if known is not None:
            return known
        if not allowed(self._request, point[None, :])[0]:
            return self._worst
        raise Asked(point)

    def _known(self, point: NDArray[np.float64]) -> float | None:
        gaps = np.max(np.abs(self._places - point), axis=1)
        nearest = int(np.argmin(gaps))
        return float(self._costs[nearest]) if gaps[nearest] <= APART else None

    def _candidate_at(self, point: NDArray[np.float64]) -> int:
        return int(np.argmin(np.max(np.abs(self._listed - point), axis=1)))

    def _of_candidates(self, point: NDArray[np.float64]) -> float:
        """The cost of the candidate that this point stands for; the same point always stands for the same one."""
        key = point.tobytes()
        if key in self._given:
            return self._given[key]
        distances = np.sum((self._features - self._request.space.encode(point[None, :])) ** 2, axis=1)
        distances[list(self._had)] = np.inf
        chosen = int(np.argmin(distances))
        if not np.isfinite(distances[chosen]):
            raise Tired
        self._had.add(chosen)
        place = self._listed[chosen]
        known = self._known(place)
        if known is None:
            if allowed(self._request, place[None, :])[0]:
                raise Asked(place)
            known = self._worst
        self._given[key] = known
        return known


@dataclass(frozen=True)
class Searched(ABC):
    """A Sobol initial design, then the search of a library's optimiser, begun anew from elsewhere when it ends."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The strategy's public name."""

    @property
    @abstractmethod
    def step(self) -> str:
        """What a proposal of this search is, in a few words."""

    @abstractmethod
    def search(self, cost: Cost, start: NDArray[np.float64], start_costs: NDArray[np.float64], seed: int) -> None:
        """Make `cost` small, from unit points `start` [k, d] of known costs [k], until it raises or the search ends.

        A search that has ended is begun again with another seed and with `start` in another order.
        """

    def propose(self, request: Request) -> Proposal:
        """See `planners.Strategy`."""
        request = Sized.of(request).request
        measured = Measured.of(request)
        begun = started(request)
        if begun < request.initial or len(measured) < 1:
            first = designs.initial_proposal(request, self.name, begun, len(measured), least=1)
            if first is not None:
                return first
        oracle = Oracle(request, measured)
        point = self._asked(request, oracle)
        acquisition, repeat = self.step, ""
        if point is None:
            point, repeat = _elsewhere(request, self.name)
            acquisition = "space filling"
        read = "1 recipe" if len(measured) == 1 else f"{len(measured)} recipes"
        return Proposal(
            x=as_recipe(request, point),
            strategy=self.name,
            phase="model",
            acquisition=acquisition,
            compared=oracle.answers,
            reason=f"The {acquisition} after {read} that gave a reading.{repeat}",
        )

    def recommend(self, request: Request) -> Recommendation:
        """See `planners.Strategy`; without a model, only measured recipes are recommended."""
        from planners.recommending import recommend

        return recommend(None, request)

    def _asked(self, request: Request, oracle: Oracle) -> NDArray[np.float64] | None:
        costs = oracle.started_costs
        order = np.argsort(costs, kind="stable")
        for attempt in range(_RESTARTS):
            seed = int(generator(request.seed, 0xA5CED, attempt).integers(2**31))
            turned = np.roll(order, -attempt)
            try:
                self.search(oracle, oracle.started[turned], costs[turned], seed)
            except Asked as asked:
                return asked.point
            except Tired:
                return None
        return None


def _elsewhere(request: Request, strategy: str) -> tuple[NDArray[np.float64], str]:
    """The next unit point [d] where the search asks for none, and what is to be said of it if it was visited."""
    if request.candidates is None:
        drawn = next_in_stream(request, sobol_stream(request), strategy)
        return drawn.point, drawn.repeat_words
    return next_in_order(request, generator(request.seed, 0xE15E).permutation(len(request.candidates)))[0], ""


def needs(package: str, strategy: str) -> PlannerError:
    """The refusal of a strategy whose library is not installed."""
    return PlannerError(
        f"strategy {strategy!r} needs {package}, which is not installed: pip install 'lumiflow[strategies]'"
    )
