"""The ensemble strategy: many small networks, fitted as one batch, with the target inside the acquisition."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from planners.errors import PlannerError, did_you_mean
from planners.evidence import Drift, Measured
from planners.modelled import Belief, Fitted, Modelled, Ranking
from planners.objective import Wanted
from planners.records import Request
from planners.space import SearchSpace
from planners.stated_noise import StatedNoise

if TYPE_CHECKING:
    from planners.acquisition import Read
    from planners.data import Data
    from planners.surrogate import EnsembleSurrogate

Acquisition = Literal["automatic", "expected_improvement", "upper_confidence", "thompson"]


@dataclass(frozen=True)
class Ensemble(Modelled):
    """An ensemble of `members`, each with a network of `hidden` units for each raw output; see `planners.network`.

    `steps` are those of the fit of the inner scales, see `planners.scales`. `acquisition` says what an experiment is
    chosen by; left to itself the ensemble takes expected improvement for a target or where a cost counts, and upper
    confidence for an extreme (see `planners.acquisition`).

    Raises:
        PlannerError: fewer than two members, a size or number of steps below one, or an unknown acquisition.
    """

    members: int = 512
    hidden: int = 256
    steps: int = 20
    acquisition: Acquisition = "automatic"

    def __post_init__(self) -> None:
        for setting, value, least in (
            ("members", self.members, 2),
            ("hidden", self.hidden, 1),
            ("steps", self.steps, 1),
            ("spread", self.spread, 1),
            ("local", self.local, 1),
        ):
            if value < least:
                raise PlannerError(f"ensemble: {setting} must be at least {least}, not {value}")
        known = get_args(Acquisition)
        if self.acquisition not in known:
            meant = did_you_mean(self.acquisition, known)
            raise PlannerError(f"ensemble: no acquisition {self.acquisition!r}: {meant}")

    @property
    def name(self) -> str:
        """See `planners.Strategy`."""
        return "ensemble"

    def fit(self, request: Request, data: "Data", rng: np.random.Generator) -> "FittedEnsemble":
        """Fit the ensemble."""
        from planners.surrogate import fit_ensemble

        surrogate = fit_ensemble(data, members=self.members, hidden=self.hidden, steps=self.steps, rng=rng)
        ages = data.age[: len(request.observations)]
        told = data.succeeded if data.stated is None else data.stated & data.succeeded
        rows = told if told.any() else data.succeeded
        stated = StatedNoise(data.unit[rows], data.first_sd[rows])
        fitted = FittedEnsemble(surrogate, request, self.members, stated, ages)
        fitted.rank_by(self._chosen(request), rng)
        return fitted

    def _chosen(self, request: Request) -> Acquisition:
        if self.acquisition != "automatic":
            return self.acquisition
        extreme = request.objective.target is None and request.price is None
        return "upper_confidence" if extreme else "expected_improvement"


class FittedEnsemble(Fitted):
    """See `planners.modelled.Fitted`. It ranks by what `rank_by` was last told."""

    def __init__(
        self,
        surrogate: "EnsembleSurrogate",
        request: Request,
        members: int,
        stated: StatedNoise,
        ages: NDArray[np.float64],
    ) -> None:
        self.described = f"The ensemble of {members} networks"
        if len(ages):
            self.moved = np.quantile(-surrogate.drift(ages)[:, 0, 0], (0.05, 0.5, 0.95))
        self._surrogate = surrogate
        self._objective: Wanted = request.objective
        self._space: SearchSpace = request.space
        self._stated = stated
        self._ages = ages
        self._members = members

    def rank_by(self, acquisition: Acquisition, rng: np.random.Generator) -> None:
        """Rank candidates by an acquisition function; Thompson's draws its member at once."""
        from planners.acquisition import Improvement, Thompson, UpperConfidence

        self._acquisition = acquisition
        self.logarithmic = acquisition == "expected_improvement"
        if acquisition == "thompson":
            self._member = int(rng.integers(self._members))
            self.acquisition = Thompson.name
        else:
            self.acquisition = (Improvement if self.logarithmic else UpperConfidence).name

    def believe(self, unit: NDArray[np.float64]) -> Belief:
        """See `planners.modelled.Fitted`."""
        import torch

        encoded = self._space.encode(unit)
        features = torch.from_numpy(encoded)
        outputs, chance = self._surrogate.predict(features)
        sd = np.hypot(outputs.std(0).numpy(), self._surrogate.noise(features)) * self._surrogate.inflation
        sd[:, 0] = np.hypot(sd[:, 0], self._stated.at(encoded))
        utility = self._objective.worth(outputs).mean(0)
        return Belief(outputs.mean(0).numpy(), sd, chance.numpy(), utility.numpy())

    def drift(self) -> Drift:
        """See `planners.modelled.Fitted`."""
        draws = self._surrogate.drift(self._ages)
        return Drift(draws.mean(0), draws.std(0))

    def unstated_noise(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `planners.modelled.Fitted`."""
        import torch

        return self._surrogate.noise(torch.from_numpy(self._space.encode(unit)))[:, 0]

    def draws(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raw outputs of every member at unit points [N, d]: [M, N, m], without the noise of a reading. Their distance
        from the members' mean is widened as errors on readings left out ask."""
        import torch

        outputs, _ = self._surrogate.predict(torch.from_numpy(self._space.encode(unit)))
        values = outputs.numpy()
        mean = values.mean(axis=0)
        return np.asarray(mean + (values - mean) * self._surrogate.inflation, dtype=np.float64)

    def ranking(self, request: Request, measured: NDArray[np.float64]) -> Ranking:
        """See `planners.modelled.Fitted`."""
        from planners.acquisition import Improvement, Thompson, UpperConfidence

        if self._acquisition == "thompson":
            return Thompson(request, self._surrogate.predict, self._member)
        if self._acquisition == "upper_confidence":
            return UpperConfidence(request, self._surrogate.predict)
        return Improvement(request, self._surrogate.predict, measured, self._read(request))

    def _read(self, request: Request) -> "Read | None":
        import torch

        from planners.acquisition import Read

        seen = Measured.of(request, self.drift())
        if not len(seen):
            return None
        peculiar = self._surrogate.noise(torch.from_numpy(self._space.encode(seen.unit)))[:, 0] ** 2
        return Read(seen.readings[:, 0], peculiar / (peculiar + seen.first_error**2))
