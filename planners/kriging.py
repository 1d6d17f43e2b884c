"""A kriging map: universal kriging of every raw output, sampled in turns where it is unsure and where it aims.

Universal kriging is a Gaussian process around a trend that is fitted with it, here linear in the inputs (Cressie,
Statistics for Spatial Data, 1993, ch. 3). It mapped quantum dots over their whole space (Maceiczyk & deMello, J. Phys.
Chem. C 118:20026, 2014) and, with adaptive sampling, perovskites of a wanted colour (Bezinge et al., ACS Appl. Mater.
Interfaces 10:18869, 2018). The rule of the turns is ours.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planners.errors import PlannerError
from planners.modelled import Belief, Fitted, Modelled, Ranking
from planners.records import Request

if TYPE_CHECKING:
    from planners.data import Data

_QUANTILES = 15


@dataclass(frozen=True)
class Kriging(Modelled):
    """Every `survey`-th experiment goes where the map of the first output is least sure, the others aim.

    Raises:
        PlannerError: fewer than two experiments a turn.
    """

    survey: int = 2

    def __post_init__(self) -> None:
        for setting, value, least in (("survey", self.survey, 2), ("spread", self.spread, 1), ("local", self.local, 1)):
            if value < least:
                raise PlannerError(f"kriging: {setting} must be at least {least}, not {value}")

    @property
    def name(self) -> str:
        """See `planners.Strategy`."""
        return "kriging"

    def fit(self, request: Request, data: "Data", rng: np.random.Generator) -> Fitted:
        """Fit the map of each output that was read at least twice; one that was not is taken as zero."""
        surveys = (len(request.observations) + len(request.pending)) % self.survey == 0
        return _Map(request, data, int(rng.integers(2**31)), surveys=surveys)


class _Map(Fitted):
    def __init__(self, request: Request, data: "Data", seed: int, *, surveys: bool) -> None:
        from planners.gp import chance_model, quiet

        self.acquisition = "kriging deviation of the first output" if surveys else "expected utility of the map"
        self.acquisition += " × chance of a reading"
        self.described = "The kriging map"
        self._objective = request.objective
        self._space = request.space
        self._seed = seed
        self._surveys = self.of_first_output = surveys
        self._noise = float(np.median(data.first_sd))
        with quiet(seed):
            self._maps = [_mapped(data.unit, data.readings[:, i]) for i in range(data.outputs)]
            self._chance = chance_model(data)
        self._worst = float(np.min(request.objective.score_rows(data.readings[data.succeeded])))

    def believe(self, unit: NDArray[np.float64]) -> Belief:
        """See `planners.modelled.Fitted`."""
        import torch
        from scipy.special import ndtri

        from planners.gp import quiet

        features = torch.from_numpy(self._space.encode(unit))
        means, sds = [], []
        with torch.no_grad(), quiet(self._seed):
            for one in self._maps:
                if one is None:
                    means.append(np.zeros(len(unit)))
                    sds.append(np.zeros(len(unit)))
                    continue
                posterior = one.posterior(features)
                means.append(posterior.mean[:, 0].numpy())
                sds.append(posterior.variance[:, 0].sqrt().numpy())
            chance = self._chance(features).numpy()
        mean, sd = np.column_stack(means), np.column_stack(sds)
        possible = np.repeat(mean[None], _QUANTILES, axis=0)
        possible[..., 0] += ndtri((np.arange(_QUANTILES)[:, None] + 0.5) / _QUANTILES) * sd[:, 0]
        utility = self._objective.worth(possible).mean(0)
        sd[:, 0] = np.hypot(sd[:, 0], self._noise)
        return Belief(mean, sd, chance, utility)

    def ranking(self, request: Request, measured: NDArray[np.float64]) -> Ranking:
        """See `planners.modelled.Fitted`. Pending experiments only bar their own neighbourhood."""

        def rank(unit: NDArray[np.float64]) -> NDArray[np.float64]:
            belief = self.believe(unit)
            if self._surveys:
                return np.asarray(belief.sd[:, 0] * belief.chance, dtype=np.float64)
            return np.asarray(self._worst + belief.chance * (belief.utility - self._worst), dtype=np.float64)

        return rank


def _mapped(features: NDArray[np.float64], readings: NDArray[np.float64]) -> Any:
    """Universal kriging of one output [n] on features [n, D]; None when it was read less than twice."""
    from gpytorch.means import LinearMean

    from planners.gp import fit_gp

    rows = ~np.isnan(readings)
    if rows.sum() < 2:
        return None
    return fit_gp(features[rows], readings[rows], trend=LinearMean(features.shape[1]).double())
