"""What a campaign wants in each syringe and may use of it, against what is there and what its experiments take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from orchestrator.errors import Problem
from orchestrator.preflight.lasting import experiments, in_ml
from orchestrator.yaml_source import Document

if TYPE_CHECKING:
    from orchestrator.config import CampaignConfig, RigConfig
    from orchestrator.preflight.lasting import Use


def other_stocks(document: Document, campaign: CampaignConfig, rig: RigConfig) -> Iterator[Problem]:
    """Syringes that are to hold something else than the rig file says: nobody changes them by themselves."""
    for pump, stock in campaign.syringes.items():
        usual = rig.pump(pump).stock
        if stock != usual:
            message = (
                f"{pump!r} is to hold {stock!r}, where the rig file has {usual!r}: a run on hardware needs it there"
            )
            yield document.problem(("syringes", pump), message, offending="")


def beyond_syringes(document: Document, campaign: CampaignConfig, rig: RigConfig) -> Iterator[Problem]:
    """More than the syringe holds."""
    for pump, allowed_ul in (campaign.budget.reagent_ul or {}).items():
        held_ul = rig.pump(pump).holds_ul
        if allowed_ul > held_ul:
            message, allowed = f"more than the syringe of {pump!r} holds", f"up to {held_ul / 1000:g} ml"
            yield document.problem(("budget", "reagent", pump), message, allowed=allowed)


def used_at_once(document: Document, campaign: CampaignConfig, used: Mapping[str, Use]) -> Iterator[Problem]:
    """Less than flows before the first experiment."""
    for pump, allowed_ul in (campaign.budget.reagent_ul or {}).items():
        if used[pump].used_up_by(allowed_ul) < 1.0:
            fill = in_ml(used[pump].fill_ul)
            message = f"nothing is left for an experiment: filling the line for the blank takes about {fill}"
            yield document.problem(("budget", "reagent", pump), message, allowed=f"more than {fill}")


def soon_used(document: Document, campaign: CampaignConfig, used: Mapping[str, Use]) -> Iterator[Problem]:
    """Less than the experiments that are allowed are expected to take."""
    count = campaign.budget.experiments
    for pump, allowed_ul in (campaign.budget.reagent_ul or {}).items():
        lasts = used[pump].used_up_by(allowed_ul)
        if 1.0 <= lasts < count:
            message = f"{in_ml(allowed_ul)} of {pump!r} last for about {lasts:.0f} of {experiments(count)}"
            yield document.problem(("budget", "reagent", pump), message, offending="")


def in_words(campaign: CampaignConfig) -> str:
    """The budget of reagent as the end of a sentence of what is allowed at most; empty where there is none."""
    parts = [f"{allowed_ul / 1000:g} mL of {pump!r}" for pump, allowed_ul in (campaign.budget.reagent_ul or {}).items()]
    return f" or {', '.join(parts)}" if parts else ""
