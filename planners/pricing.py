"""Knowledge of what an experiment costs: improvement for each unit of the price."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from planners.errors import PlannerError
from planners.records import Price, Request

Ranking = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def prices(request: Request, price: Price, unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """What unit points [N, d] cost [N].

    Raises:
        PlannerError: an answer that is not one positive finite number for each row.
    """
    answer = np.asarray(price.of(request.space.from_unit(unit)), dtype=np.float64)
    if answer.shape != (len(unit),) or not bool(np.all(np.isfinite(answer) & (answer > 0.0))):
        raise PlannerError(f"the price of {len(unit)} recipes must be one positive finite number for each")
    return answer


def per_price(request: Request, price: Price, ranking: Ranking) -> Ranking:
    """A ranking by the logarithm of an improvement, less the logarithm of the price.

    That is expected improvement per unit of cost, as "per second" in Snoek, Larochelle & Adams, NeurIPS 2012, 25.
    """

    def rank(unit: NDArray[np.float64]) -> NDArray[np.float64]:
        return ranking(unit) - np.log(prices(request, price, unit))

    return rank
