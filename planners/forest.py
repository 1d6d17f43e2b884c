"""Regressors of scikit-learn that vote: a random forest, bagged support vectors and bagged boosted trees."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planners.errors import PlannerError
from planners.votes import Votes, Voting


def _at_least(strategy: str, setting: str, value: int, least: int) -> None:
    if value < least:
        raise PlannerError(f"{strategy}: {setting} must be at least {least}, not {value}")


@dataclass(frozen=True)
class Forest(Voting):
    """A random forest of `trees`, each tree a voter, otherwise with scikit-learn's defaults.

    Raises:
        PlannerError: fewer than two trees, or a negative number of deviations.
    """

    trees: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(self.name, "trees", self.trees, 2)

    @property
    def name(self) -> str:
        """See `planners.Strategy`."""
        return "forest"

    @property
    def voters(self) -> int:
        """See `Voting`."""
        return self.trees

    @property
    def described(self) -> str:
        """See `Voting`."""
        return f"The forest of {self.trees} trees"

    def grow(self, x: NDArray[np.float64], y: NDArray[np.float64], seed: int) -> Votes:
        """See `Voting`."""
        from sklearn.ensemble import RandomForestRegressor

        forest = RandomForestRegressor(n_estimators=self.trees, random_state=seed, n_jobs=1).fit(x, y)
        return _predictions(forest.estimators_)


@dataclass(frozen=True)
class SupportVectors(Voting):
    """`bags` support vector machines (radial kernel), each on a bootstrap sample of standardised readings.

    Raises:
        PlannerError: fewer than two bags, or a negative number of deviations.
    """

    bags: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(self.name, "bags", self.bags, 2)

    @property
    def name(self) -> str:
        """See `planners.Strategy`."""
        return "support_vectors"

    @property
    def voters(self) -> int:
        """See `Voting`."""
        return self.bags

    @property
    def described(self) -> str:
        """See `Voting`."""
        return f"The {self.bags} support vector machines"

    def grow(self, x: NDArray[np.float64], y: NDArray[np.float64], seed: int) -> Votes:
        """See `Voting`. Regularisation and tube are those of standardised data with little noise."""
        from sklearn.svm import SVR

        centre, scale = float(y.mean()), float(y.std()) or 1.0
        bagged = _bagged(lambda _: SVR(kernel="rbf", C=100.0, epsilon=0.01), x, (y - centre) / scale, self.bags, seed)
        return lambda features: centre + scale * bagged(features)


@dataclass(frozen=True)
class Boosting(Voting):
    """`bags` gradient-boosted regressors with scikit-learn's defaults, each on a bootstrap sample.

    Raises:
        PlannerError: fewer than two bags, or a negative number of deviations.
    """

    bags: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(self.name, "bags", self.bags, 2)

    @property
    def name(self) -> str:
        """See `planners.Strategy`."""
        return "boosting"

    @property
    def voters(self) -> int:
        """See `Voting`."""
        return self.bags

    @property
    def described(self) -> str:
        """See `Voting`."""
        return f"The {self.bags} boosted regressors"

    def grow(self, x: NDArray[np.float64], y: NDArray[np.float64], seed: int) -> Votes:
        """See `Voting`."""
        from sklearn.ensemble import GradientBoostingRegressor

        return _bagged(lambda state: GradientBoostingRegressor(random_state=state), x, y, self.bags, seed)


def _bagged(make: Callable[[int], Any], x: NDArray[np.float64], y: NDArray[np.float64], bags: int, seed: int) -> Votes:
    rng = np.random.Generator(np.random.PCG64(seed))
    fitted = []
    before = np.random.get_state()  # a support vector machine asks numpy's global generator for a seed
    try:
        for _ in range(bags):
            rows = rng.integers(0, len(x), len(x))
            fitted.append(make(int(rng.integers(2**31))).fit(x[rows], y[rows]))
    finally:
        np.random.set_state(before)
    return _predictions(fitted)


def _predictions(fitted: list[Any]) -> Votes:
    return lambda features: np.stack([one.predict(features) for one in fitted])
