"""BayBE behind the planners' protocol: its recommender on the first output, with a `match_*` target where there is one.

BayBE keeps the raw output in its Gaussian process and applies the match within the acquisition. Width and yield are not
told: a single target is what its users write first, and a desirability of several takes it several times as long.
"""

from dataclasses import dataclass
from typing import Any

from planners.guests import Cell, Guest, Table, distinct_places
from planners.space import Variable


@dataclass(frozen=True)
class BayBE(Guest):
    """BayBE's `BotorchRecommender` as shipped."""

    @property
    def name(self) -> str:
        """See `Guest`."""
        return "baybe"

    @property
    def described(self) -> str:
        """See `Guest`."""
        return "BayBE's Bayesian recommender"

    def ask(self, table: Table, seed: int) -> dict[str, Cell]:
        """See `Guest`."""
        import pandas as pd
        from baybe.recommenders import BotorchRecommender
        from baybe.searchspace import SearchSpace
        from baybe.targets import NumericalTarget

        target = table.objective.target
        wanted = (
            NumericalTarget("output", minimize=table.minimised)
            if target is None
            else NumericalTarget.match_absolute("output", match_value=target)
        )
        asked = BotorchRecommender().recommend(
            1,
            SearchSpace.from_product([_parameter(variable) for variable in table.variables]),
            wanted.to_objective(),
            pd.DataFrame([dict(row) for row in table.rows]).assign(output=table.first),
            pd.DataFrame([dict(row) for row in table.pending]) if table.pending else None,
        )
        return {str(name): cell for name, cell in asked.iloc[0].to_dict().items()}


def _parameter(variable: Variable) -> Any:
    from baybe.parameters import CategoricalParameter, NumericalContinuousParameter, NumericalDiscreteParameter

    if variable.kind == "categorical":
        return CategoricalParameter(variable.name, values=variable.levels)
    if variable.kind == "integer":
        whole = range(int(variable.lower), int(variable.upper) + 1)
        return NumericalDiscreteParameter(variable.name, values=tuple(map(float, whole)))
    if variable.kind == "discrete":
        return NumericalDiscreteParameter(variable.name, values=distinct_places(variable))
    return NumericalContinuousParameter(variable.name, bounds=(0.0, 1.0))
