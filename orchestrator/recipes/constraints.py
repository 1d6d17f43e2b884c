"""What a campaign's ``constraints`` speak of, and whether a recipe meets them.

Names are those of the campaign's inputs and fixed quantities; besides, whatever else they settle: ``residence_time``,
``total_flow`` and ``temperature`` where no entry has that name, ``flow(PUMP)``, and ``concentration(SPECIES)`` in the
mixed stream before it reacts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.recipes.dimensions import CONCENTRATION, FLOW, NUMBER, TEMPERATURE, TIME, Dimension
from orchestrator.recipes.inequality import Inequality, InequalityError, parse_inequality

if TYPE_CHECKING:
    from orchestrator.config.campaign import CampaignConfig
    from orchestrator.errors import Problem
    from orchestrator.yaml_source import Document

Stocks = Mapping[str, Mapping[str, float]]
"""Pump to the concentrations in its syringe (species to mM)."""

_DIMENSIONS: Mapping[str, Dimension] = {
    "residence_time": TIME,
    "total_flow": FLOW,
    "temperature": TEMPERATURE,
    "concentration": CONCENTRATION,
}
_PER_S = 1.0 / 60.0


def known_names(campaign: CampaignConfig, stocks: Stocks) -> dict[str, Dimension]:
    """Everything that a constraint of this campaign may name, with its dimension."""
    known = {
        name: _DIMENSIONS.get(entry.kind, NUMBER)
        for section in (campaign.inputs, campaign.fixed)
        for name, entry in section.items()
        if entry.kind != "pump_choice"
    }
    for name in ("residence_time", "total_flow", "temperature"):
        known.setdefault(name, _DIMENSIONS[name])
    known.update({f"flow({pump})": FLOW for pump in stocks})
    species = sorted({symbol for held in stocks.values() for symbol in held})
    return known | {f"concentration({symbol})": CONCENTRATION for symbol in species}


def constraints_of(campaign: CampaignConfig, stocks: Stocks) -> tuple[Inequality, ...]:
    """The campaign's constraints. Raises InequalityError for one that a loaded campaign cannot have."""
    known = known_names(campaign, stocks) if campaign.constraints else {}
    return tuple(parse_inequality(text, known) for text in campaign.constraints)


def check_constraints(document: Document, campaign: CampaignConfig, stocks: Stocks) -> list[Problem]:
    """What is wrong with the constraints of a file, each at the character that it is about."""
    from dataclasses import replace

    problems: list[Problem] = []
    known = known_names(campaign, stocks)
    for index, text in enumerate(campaign.constraints):
        path = ("constraints", index)
        if text in campaign.constraints[:index]:
            problems.append(document.problem(path, "a constraint is listed twice"))
            continue
        try:
            parse_inequality(text, known)
        except InequalityError as error:
            problem = document.problem(path, error.message, allowed=error.allowed, suggestion=error.suggestion)
            start = problem.source.find(text, max(problem.column - 1, 0))
            if start >= 0:  # else the text stands on several lines
                problem = replace(problem, column=start + error.at + 1)
            problems.append(problem)
    return problems


def coherent_values(
    campaign: CampaignConfig,
    stocks: Stocks,
    wanted: Collection[str],
    *,
    recipe: Mapping[str, Any],
    total_flow: Any,
    residence_time: Any,
    temperature: Any,
    flows: Mapping[str, Any],
) -> dict[str, Any]:
    """The values of the references in ``wanted``: numbers, or arrays where the arguments are arrays.

    The arguments are in base units: µL/min, s, °C, and ``recipe`` in that of each input.
    """
    values: dict[str, Any] = {
        "residence_time": residence_time,
        "total_flow": total_flow * _PER_S,
        "temperature": temperature,
    }
    entries = [(name, entry.kind, recipe[name]) for name, entry in campaign.inputs.items()]
    entries += [(name, entry.kind, entry.value) for name, entry in campaign.fixed.items()]
    values.update({name: value * _PER_S if kind == "total_flow" else value for name, kind, value in entries})
    values.update({f"flow({pump})": flow * _PER_S for pump, flow in flows.items()})
    for reference in wanted:
        if reference.startswith("concentration("):
            symbol = reference.removeprefix("concentration(").removesuffix(")")
            amount = sum(flow * stocks[pump].get(symbol, 0.0) for pump, flow in flows.items())
            values[reference] = amount / total_flow
    return {name: values[name] for name in wanted}
