"""Ax behind the planners' protocol: its own choice of Bayesian optimisation, on the utility as the one metric."""

from dataclasses import dataclass
from typing import Any

from planners.errors import PlannerError
from planners.guests import Cell, Guest, Table, distinct_places
from planners.space import Variable


@dataclass(frozen=True)
class Ax(Guest):
    """Ax's `Client` as shipped, but for the initial design."""

    @property
    def name(self) -> str:
        """See `Guest`."""
        return "ax"

    @property
    def described(self) -> str:
        """See `Guest`."""
        return "Ax's Bayesian optimisation of the score"

    @property
    def enumerates(self) -> bool:
        """See `Guest`: it rounds."""
        return False

    @property
    def aims(self) -> bool:
        """See `Guest`: it is told the utility."""
        return False

    def ask(self, table: Table, seed: int) -> dict[str, Cell]:
        """See `Guest`."""
        from ax.api.client import Client

        client = Client(random_seed=seed)
        client.configure_experiment([_parameter(variable) for variable in table.variables])
        client.configure_optimization(objective="utility")
        client.configure_generation_strategy(
            initialization_budget=0, initialize_with_center=False, use_existing_trials_for_initialization=True
        )
        for row, utility in zip(table.rows, table.utility, strict=True):
            trial = client.attach_trial(dict(row))
            client.complete_trial(trial, {"utility": float(utility)})
        for row in table.pending:
            client.attach_trial(dict(row))
        trials = client.get_next_trials(1)
        if not trials:
            raise PlannerError("Ax finds no further recipe")
        asked: dict[str, Cell] = dict(next(iter(trials.values())))
        return asked


def _parameter(variable: Variable) -> Any:
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    if variable.kind == "categorical":
        return ChoiceParameterConfig(variable.name, list(variable.levels), "str", is_ordered=False)
    if variable.kind == "discrete":
        return ChoiceParameterConfig(variable.name, list(distinct_places(variable)), "float", is_ordered=True)
    if variable.kind == "integer":
        return RangeParameterConfig(variable.name, (int(variable.lower), int(variable.upper)), "int")
    return RangeParameterConfig(variable.name, (0.0, 1.0), "float")
