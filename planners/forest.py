"""Random forests with an upper confidence bound of the utility (a lower one of what is to be minimised)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planners.errors import PlannerError
from planners.modelled import Belief, Fitted, Modelled, Ranking
from planners.records import Request

if TYPE_CHECKING:
    from planners.surrogate import Data


@dataclass(frozen=True)
class Forest(Modelled):
    """A forest of `trees` for each raw output; mean plus `deviations` standard deviations of the trees' utilities.

    The bound is the one of Liang et al., npj Comput. Mater. 7:188 (2021), with the trees as the posterior.

    Raises:
        PlannerError: fewer than two trees, or a negative number of deviations.
    """

    trees: int = 100
    deviations: int = 2

    def __post_init__(self) -> None:
        for setting, value, least in (
            ("trees", self.trees, 2),
            ("deviations", self.deviations, 0),
            ("spread", self.spread, 1),
            ("local", self.local, 1),
        ):
            if value < least:
                raise PlannerError(f"forest: {setting} must be at least {least}, not {value}")

    @property
    def name(self) -> str:
        """See `planners.Strategy`."""
        return "forest"

    def fit(self, request: Request, data: "Data", rng: np.random.Generator) -> Fitted:
        """Fit a forest to each output; one that was never read is taken as zero."""
        return _FittedForest(request, data, self.trees, self.deviations, int(rng.integers(2**31)))


class _FittedForest(Fitted):
    def __init__(self, request: Request, data: "Data", trees: int, deviations: int, seed: int) -> None:
        self.acquisition = f"mean + {deviations} standard deviations of utility, times the chance of a reading"
        self.described = f"The forest of {trees} trees"
        self._objective = request.objective
        self._space = request.space
        self._trees = trees
        self._deviations = deviations
        self._first_noise = float(np.median(data.first_sd))
        self._forests = []
        for i in range(data.outputs):
            rows = ~np.isnan(data.readings[:, i])
            self._forests.append(
                _grown(data.unit[rows], data.readings[rows, i], trees, seed + i) if rows.any() else None
            )
        self._worst = float(np.min(request.objective.score_rows(data.readings[data.succeeded])))
        labelled = not data.succeeded.all()
        self._labels = _grown(data.unit, data.succeeded.astype(np.float64), trees, seed - 1) if labelled else None

    def _outputs(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Features [N, D] -> raw outputs of every tree [T, N, m]."""
        columns = [
            np.zeros((self._trees, len(features))) if forest is None else _trees(forest, features)
            for forest in self._forests
        ]
        return np.stack(columns, axis=-1)

    def _chance(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.ones(len(features)) if self._labels is None else _trees(self._labels, features).mean(0)

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
            bound = utility.mean(0) + self._deviations * utility.std(0)
            return np.asarray(self._worst + self._chance(features) * (bound - self._worst), dtype=np.float64)

        return rank


def _grown(x: NDArray[np.float64], y: NDArray[np.float64], trees: int, seed: int) -> Any:
    """A forest of y [n] on features [n, D] with scikit-learn's defaults."""
    from sklearn.ensemble import RandomForestRegressor  # type: ignore[import-untyped]

    return RandomForestRegressor(n_estimators=trees, random_state=seed % 2**31, n_jobs=1).fit(x, y)


def _trees(forest: Any, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """What every tree predicts: [T, N]."""
    return np.stack([tree.predict(features) for tree in forest.estimators_])
