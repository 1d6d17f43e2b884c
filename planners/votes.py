"""Surrogates that vote: many regressors of one library, an upper confidence bound over their utilities."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from planners.errors import PlannerError
from planners.modelled import Belief, Fitted, Modelled, Ranking
from planners.records import Request

if TYPE_CHECKING:
    from planners.data import Data


class Votes(Protocol):
    """Fitted regressors: features [N, D] -> what each of M predicts [M, N]."""

    def __call__(self, features: NDArray[np.float64], /) -> NDArray[np.float64]:
        """See above."""
        ...


@dataclass(frozen=True)
class Voting(Modelled):
    """Voters for each raw output; mean plus `deviations` standard deviations of the voters' utilities.

    The bound is the one that Liang et al., npj Comput. Mater. 7:188 (2021), use with the trees of a forest.

    Raises:
        PlannerError: a negative number of deviations.
    """

    deviations: int = 2

    def __post_init__(self) -> None:
        for setting, value, least in (
            ("deviations", self.deviations, 0),
            ("spread", self.spread, 1),
            ("local", self.local, 1),
        ):
            if value < least:
                raise PlannerError(f"{self.name}: {setting} must be at least {least}, not {value}")

    @property
    @abstractmethod
    def voters(self) -> int:
        """Number of voters, M."""

    @property
    @abstractmethod
    def described(self) -> str:
        """The voters in a few words."""

    @abstractmethod
    def grow(self, x: NDArray[np.float64], y: NDArray[np.float64], seed: int) -> Votes:
        """Fit voters to y [n] on features x [n, D]."""

    def fit(self, request: Request, data: "Data", rng: np.random.Generator) -> Fitted:
        """Fit voters to each output; one that was never read is taken as zero."""
        return _FittedVotes(self, request, data, int(rng.integers(2**31)))


class _FittedVotes(Fitted):
    def __init__(self, strategy: Voting, request: Request, data: "Data", seed: int) -> None:
        self.acquisition = f"mean + {strategy.deviations} standard deviations of utility, times the chance of a reading"
        self.described = strategy.described
        self._objective = request.objective
        self._space = request.space
        self._strategy = strategy
        self._first_noise = float(np.median(data.first_sd))
        self._votes: list[Votes | None] = []
        for i in range(data.outputs):
            rows = ~np.isnan(data.readings[:, i])
            self._votes.append(
                strategy.grow(data.unit[rows], data.readings[rows, i], (seed + i) % 2**31) if rows.any() else None
            )
        self._worst = float(np.min(request.objective.score_rows(data.readings[data.succeeded])))
        self._labels = None
        if not data.succeeded.all():
            self._labels = strategy.grow(data.unit, data.succeeded.astype(np.float64), (seed - 1) % 2**31)

    def _outputs(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Features [N, D] -> raw outputs of every voter [M, N, m]."""
        nothing = np.zeros((self._strategy.voters, len(features)))
        return np.stack([nothing if votes is None else votes(features) for votes in self._votes], axis=-1)

    def _chance(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._labels is None:
            return np.ones(len(features))
        return np.asarray(np.clip(self._labels(features).mean(0), 0.0, 1.0), dtype=np.float64)

    def believe(self, unit: NDArray[np.float64]) -> Belief:
        """See `planners.modelled.Fitted`."""
        features = self._space.encode(unit)
        outputs = self._outputs(features)
        sd = outputs.std(0)
        sd[:, 0] = np.hypot(sd[:, 0], self._first_noise)
        return Belief(outputs.mean(0), sd, self._chance(features), self._objective.worth(outputs).mean(0))

    def ranking(self, request: Request, measured: NDArray[np.float64]) -> Ranking:
        """See `planners.modelled.Fitted`. Pending experiments only bar their own neighbourhood."""

        def rank(unit: NDArray[np.float64]) -> NDArray[np.float64]:
            features = self._space.encode(unit)
            utility = self._objective.worth(self._outputs(features))
            bound = utility.mean(0) + self._strategy.deviations * utility.std(0)
            return np.asarray(self._worst + self._chance(features) * (bound - self._worst), dtype=np.float64)

        return rank
