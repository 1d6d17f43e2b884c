"""BoFire behind the planners' protocol: its single-objective strategy on the first output.

Width and yield are not told, as with BayBE.
"""

from dataclasses import dataclass
from typing import Any

from planners.guests import Cell, Guest, Table, distinct_places
from planners.space import Variable


@dataclass(frozen=True)
class BoFire(Guest):
    """BoFire's `SoboStrategy` as shipped."""

    @property
    def name(self) -> str:
        """See `Guest`."""
        return "bofire"

    @property
    def described(self) -> str:
        """See `Guest`."""
        return "BoFire's single-objective strategy"

    def ask(self, table: Table, seed: int) -> dict[str, Cell]:
        """See `Guest`."""
        import pandas as pd
        from bofire.data_models.domain.api import Domain, Inputs, Outputs
        from bofire.data_models.features.api import ContinuousOutput
        from bofire.data_models.objectives.api import CloseToTargetObjective, MaximizeObjective, MinimizeObjective
        from bofire.data_models.strategies.api import SoboStrategy
        from bofire.strategies.api import map as strategy_of

        target = table.objective.target
        wanted: Any = MinimizeObjective() if table.minimised else MaximizeObjective()
        if target is not None:
            wanted = CloseToTargetObjective(target_value=target, exponent=1)
        domain = Domain(
            inputs=Inputs(features=[_feature(variable) for variable in table.variables]),
            outputs=Outputs(features=[ContinuousOutput(key="output", objective=wanted)]),
        )
        strategy = strategy_of(SoboStrategy(domain=domain, seed=seed))
        told = pd.DataFrame([dict(row) for row in table.rows])
        strategy.tell(told.assign(output=table.first, valid_output=1))
        if table.pending:
            strategy.set_candidates(pd.DataFrame([dict(row) for row in table.pending]))
        asked = strategy.ask(1)
        return {variable.name: asked.iloc[0][variable.name] for variable in table.variables}


def _feature(variable: Variable) -> Any:
    from bofire.data_models.features.api import CategoricalInput, ContinuousInput, DiscreteInput

    if variable.kind == "categorical":
        return CategoricalInput(key=variable.name, categories=list(variable.levels))
    if variable.kind == "integer":
        whole = range(int(variable.lower), int(variable.upper) + 1)
        return DiscreteInput(key=variable.name, values=[float(value) for value in whole])
    if variable.kind == "discrete":
        return DiscreteInput(key=variable.name, values=list(distinct_places(variable)))
    return ContinuousInput(key=variable.name, bounds=(0.0, 1.0))
