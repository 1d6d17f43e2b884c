"""What every model-based strategy shares: initial design, candidates, acquisition, the reason, the recommendation."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from planners import designs
from planners.errors import PlannerError
from planners.evidence import Drift, Measured, archived
from planners.objective import Wanted
from planners.records import Interval, Proposal, Recommendation, Request
from planners.sampling import as_recipe, generator, next_in_stream, sobol_stream, started

if TYPE_CHECKING:
    from planners.data import Data

_NORMAL_95 = 1.6449
_LEAST_READINGS = 2
_MOST_PLACES = 64
"""Most archived recipes around and between which candidates are looked for."""

Ranking = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Unit points [N, d] -> values [N], higher is better."""


@dataclass(frozen=True)
class Belief:
    """A fitted model's view of some points: mean and sd of each output [N, m], chance of a reading [N] and expected
    utility [N]. The sd is that of a reading, noise included."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    chance: NDArray[np.float64]
    utility: NDArray[np.float64]

    def ends(self, output: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both ends of the 90 % interval of one output at every point, [N] each."""
        mean, half = self.mean[:, output], _NORMAL_95 * self.sd[:, output]
        return mean - half, mean + half

    def intervals(self, row: int, objective: Wanted) -> Mapping[str, Interval]:
        """The 90 % intervals at one point; none goes beyond the values that its output can have."""
        mean, half = self.mean[row], _NORMAL_95 * self.sd[row]
        ends = [np.clip(each, objective.least, objective.most) for each in (mean, mean - half, mean + half)]
        return MappingProxyType(
            {
                name: Interval(*(float(each[i]) for each in ends))
                for i, name in enumerate(objective.outputs)
                if np.isfinite(mean[i]) and np.isfinite(half[i])
            }
        )


class Fitted(ABC):
    """A model fitted to the readings of one request."""

    acquisition: str
    described: str
    logarithmic: bool = False
    """Whether the acquisition function is the logarithm of an improvement."""
    of_first_output: bool = False
    """Whether the acquisition function is in the unit of the first output, whatever is wanted of it."""
    moved: NDArray[np.float64] | None = None
    """By how much the first output has moved since the first experiment: low end, middle and high end of its 90 %
    interval [3]. None: the model knows of no drift."""

    @abstractmethod
    def believe(self, unit: NDArray[np.float64]) -> Belief:
        """The model's view of unit points [N, d]."""

    def drift(self) -> Drift | None:
        """By how much the readings of the present campaign are above those of now, in their order; None: the model
        knows of no drift."""
        return None

    def unstated_noise(self, unit: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Noise of a reading of the first output at unit points [N, d], beside what it states itself: [N]; None: the
        model fits none."""
        return None

    def draws(self, unit: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Raw outputs of every draw of the model at unit points [N, d]: [M, N, m], without the noise of a reading;
        None: it has no draws."""
        return None

    @abstractmethod
    def ranking(self, request: Request, measured: NDArray[np.float64]) -> Ranking:
        """The acquisition function, given the measured unit points [G, d]."""


def known_places(request: Request, measured: Measured) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where there were readings [k, d], and of what first output [k]: the present's own, then the nearest archived."""
    unit, first = archived(request)
    nearest = slice(_MOST_PLACES)
    return np.concatenate([measured.unit, unit[nearest]]), np.concatenate([measured.readings[:, 0], first[nearest]])


@dataclass(frozen=True)
class Modelled(ABC):
    """A Sobol initial design, then the maximum of an acquisition function over candidates.

    The initial design goes on until `request.initial` different recipes are done, pending or archived, or until its
    sequence holds no more that are allowed, and two of them gave a reading: before that there is nothing to fit.
    """

    spread: int = 768
    local: int = 768

    @property
    @abstractmethod
    def name(self) -> str:
        """The strategy's public name."""

    @abstractmethod
    def fit(self, request: Request, data: "Data", rng: np.random.Generator) -> Fitted:
        """Fit the surrogate."""

    def propose(self, request: Request) -> Proposal:
        """See `planners.Strategy`."""
        measured = Measured.of(request)
        before = len(archived(request)[0])
        begun = started(request) + before
        readings = len(measured) + before
        if begun < request.initial or readings < _LEAST_READINGS:
            first = designs.initial_proposal(request, self.name, begun, readings, least=_LEAST_READINGS)
            if first is not None:
                return first
        from planners.heavy import one_thread

        with one_thread():
            return self._modelled(request, measured)

    def recommend(self, request: Request) -> Recommendation:
        """See `planners.Strategy`."""
        from planners.heavy import one_thread
        from planners.recommending import recommend

        with one_thread():
            return recommend(self, request)

    def _modelled(self, request: Request, measured: Measured) -> Proposal:
        from planners.candidates import pool
        from planners.data import Data
        from planners.pricing import per_price
        from planners.reach import verdict
        from planners.runner_up import runner_up, runner_up_words
        from planners.search import search
        from planners.sizes import Sized
        from planners.wording import drift_words, proposal_reason

        rng = generator(request.seed, len(request.observations), len(request.pending), 1)
        sized = Sized.of(request)
        fitted = self.fit(sized.request, Data.of(sized.request), rng)
        places, first = known_places(sized.request, Measured.of(sized.request))
        # Before the first reading of its own, a campaign compares with the best that an archive holds.
        ranking = fitted.ranking(sized.request, measured.unit if len(measured) else places[:1])
        acquisition = fitted.acquisition
        if request.price is not None:
            if not fitted.logarithmic:
                raise PlannerError(f"strategy {self.name!r} does not weigh what an experiment costs")
            ranking = per_price(request, request.price, ranking)
            acquisition += f", per {request.price.unit}"
        points = pool(sized.request, places, first, spread=self.spread, local=self.local, rng=rng)
        second, repeat = None, ""
        if len(points) == 0:
            drawn = next_in_stream(request, sobol_stream(request), self.name)
            point, compared, repeat = drawn.point, drawn.looked, drawn.repeat_words
            value = float(ranking(point[None, :])[0])
        else:
            if request.candidates is None:
                points, values = search(request, ranking, points, rng)
            else:
                values = ranking(points)
            best, compared = int(np.argmax(values)), len(points)
            point, value = points[best], float(values[best])
            second = runner_up(request, points, values, best)
        if second is not None:
            second = second[0], sized.acquisition(second[1], fitted)
        value = sized.acquisition(value, fitted)
        belief = sized.belief(fitted.believe(point[None, :]))
        described = fitted.described + drift_words(request.objective, sized.moved(fitted))
        return Proposal(
            x=as_recipe(request, point),
            strategy=self.name,
            phase="model",
            predicted=belief.intervals(0, request.objective),
            probability_feasible=float(belief.chance[0]),
            acquisition=acquisition,
            acquisition_value=value,
            compared=compared,
            reason=proposal_reason(request, point, described, belief, measured=measured, compared=compared)
            + runner_up_words(request, point, value, second, logarithmic=fitted.logarithmic)
            + repeat,
            out_of_reach=verdict(
                request,
                lambda unit: sized.belief(fitted.believe(unit)),
                points,
                lambda unit: sized.first(fitted.draws(unit)),
            ),
        )
