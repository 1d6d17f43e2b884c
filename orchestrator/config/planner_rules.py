"""What must hold of the planner that a campaign file names: its settings, what it chooses by, and what it weighs."""

from __future__ import annotations

from orchestrator.config.campaign import CHOOSES_BY, WEIGHS_COST, CampaignConfig
from orchestrator.config.messages import closest
from orchestrator.errors import Problem
from orchestrator.yaml_source import Document


def check_planner(document: Document, campaign: CampaignConfig) -> list[Problem]:
    """Everything that is wrong with the planner of a campaign."""
    planner = campaign.planner
    problems = [*_check_acquisition(document, campaign), *_check_settings(document, campaign)]
    most = campaign.budget.experiments
    if planner.initial > most and "initial" in planner.model_fields_set:
        message = f"more initial experiments than the budget of {most} allows"
        problems.append(document.problem(("planner", "initial"), message))
    elif planner.initial > most:
        message = f"fewer than the {planner.initial} initial experiments that a planner makes unless told otherwise"
        allowed = f"{planner.initial} or more, or planner: {{initial: {most}}}"
        problems.append(document.problem(("budget", "experiments"), message, allowed=allowed))
    if planner.cost != "none" and planner.strategy not in WEIGHS_COST:
        message = f"the strategy {planner.strategy!r} does not weigh what an experiment costs"
        allowed = f"none, or a strategy of {', '.join(WEIGHS_COST)}"
        problems.append(document.problem(("planner", "cost"), message, allowed=allowed))
    return problems


def check_installed(document: Document, campaign: CampaignConfig) -> list[Problem]:
    """Whether what the strategy needs is installed. Asked before a run, never of a record: that any machine reads."""
    missing = not_installed(campaign.planner.strategy)
    return [document.problem(("planner", "strategy"), missing)] if missing else []


def not_installed(name: str) -> str:
    """Which package a strategy lacks on this computer, and how to install it; empty where it lacks none."""
    from planners import PlannerError, strategy
    from planners.guests import Guest, installed

    if isinstance(strategy(name), Guest):
        try:
            installed(name)
        except PlannerError as error:
            return str(error)
    return ""


def _check_acquisition(document: Document, campaign: CampaignConfig) -> list[Problem]:
    planner = campaign.planner
    if planner.acquisition == "automatic":
        return []
    if planner.strategy not in CHOOSES_BY:
        message = f"the strategy {planner.strategy!r} cannot be told what to choose by"
        allowed = f"automatic, or the strategy {', '.join(CHOOSES_BY)}"
        return [document.problem(("planner", "acquisition"), message, allowed=allowed)]
    if planner.cost != "none" and planner.acquisition != "expected_improvement":
        message = f"the acquisition {planner.acquisition!r} does not weigh what an experiment costs"
        return [document.problem(("planner", "cost"), message, allowed="none, or the acquisition expected_improvement")]
    return []


def _check_settings(document: Document, campaign: CampaignConfig) -> list[Problem]:
    """Names that the strategy knows, and numbers that it can work with."""
    given = campaign.planner.settings
    if not given:
        return []
    from planners import PlannerError, strategy, strategy_settings

    name = campaign.planner.strategy
    known = [key for key, default in strategy_settings(name).items() if isinstance(default, int)]
    problems = []
    for key in given:
        if key not in known:
            message = f"the strategy {name!r} has no such setting"
            allowed, near = ", ".join(known) or "none", closest(key, known)
            problems.append(
                document.problem(("planner", "settings", key), message, at_key=True, allowed=allowed, suggestion=near)
            )
    if not problems:
        try:
            strategy(name, **given)
        except PlannerError as error:
            problems.append(document.problem(("planner", "settings"), str(error), at_key=True, offending=""))
    return problems
