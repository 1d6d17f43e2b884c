"""Routes for the texts that people write: is this campaign sound, what would it do, what may stand in it."""

from __future__ import annotations

from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.config import json_schema, parse_campaign, parse_rig
from orchestrator.daemon.commands import CampaignText, RigName
from orchestrator.daemon.http.api import Api, TheApi
from orchestrator.daemon.http.errors import COMMON, WITH_BODY, ApiError, ProblemBody, declared
from orchestrator.preflight.checking import Checked, Explained
from orchestrator.preflight.findings import preflight

router = APIRouter(prefix="/api", tags=["texts"])


class _Text(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    rig: RigName | None = Field(default=None, description="A rig of the daemon.")
    rig_text: CampaignText | None = Field(default=None, description="The text of another rig's file instead.")


class ToValidate(_Text):
    """A campaign's text with the rig that it is for, or a rig's text by itself."""

    campaign: CampaignText | None = None


class ToExplain(_Text):
    """A campaign's text with the rig that it is for."""

    campaign: CampaignText


class Validated(BaseModel):
    """`ok`: nothing keeps it from running. `figures`: what it would use (none for a rig by itself)."""

    kind: Literal["campaign", "rig"]
    ok: bool
    problems: list[ProblemBody] = []
    warnings: list[ProblemBody] = []
    figures: dict[str, Any] | None = None


class Explanation(BaseModel):
    """What a campaign would do: `text` for people, the rest for programs."""

    model_config = ConfigDict(extra="allow")

    campaign: str
    rig: str
    target_ev: float
    tolerance_ev: float
    strategy: str
    experiments: int
    text: str


@router.post("/validate", responses=declared(*COMMON, *WITH_BODY))
async def validate(api: TheApi, sent: Annotated[ToValidate, Body()]) -> Validated:
    """Check a text: units, ranges, reachable flows, pressure, syringes, budget. One that cannot be read is refused."""
    if sent.campaign is None and sent.rig_text is None:
        raise ApiError(422, "NothingSent", "give a campaign, or the text of a rig")
    rig_name, rig_text = _rig_of(api, sent)
    return await api.heavy(partial(_validated, sent.campaign, rig_name, rig_text))


@router.post("/explain", responses=declared(*COMMON, *WITH_BODY))
async def explain(api: TheApi, sent: Annotated[ToExplain, Body()]) -> Explanation:
    """Say what a campaign would do: reagents, hours, limits."""
    rig_name, rig_text = _rig_of(api, sent)
    return await api.heavy(partial(_explained, sent.campaign, rig_name, rig_text))


@router.get("/schema/{kind}", responses=declared(*COMMON))
async def schema(kind: Literal["campaign", "rig"]) -> dict[str, Any]:
    """The JSON Schema of a file kind, for editors."""
    return json_schema(kind)


def _rig_of(api: Api, sent: _Text) -> tuple[str, str]:
    """(name for messages, text) of the rig that is meant. Raises ApiError."""
    known = ", ".join(sorted(api.rig_texts))
    if sent.rig is not None and sent.rig_text is None:
        if sent.rig not in api.rig_texts:
            raise ApiError(422, "UnknownRig", f"there is no rig {sent.rig!r}; there are {known}")
        return f"{sent.rig}.yaml", api.rig_texts[sent.rig]
    if sent.rig_text is not None and sent.rig is None:
        return "rig.yaml", sent.rig_text
    raise ApiError(422, "WhichRig", f"give either rig, one of {known}, or rig_text")


def _validated(campaign: str | None, rig_name: str, rig_text: str) -> Validated:
    if campaign is None:
        parse_rig(rig_text, rig_name)
        return Validated(kind="rig", ok=True)
    report = preflight(parse_campaign(campaign, "campaign.yaml", rig_text, rig_name))
    checked = Checked(FilePath("campaign.yaml"), "campaign", report)
    return Validated.model_validate({**checked.as_dict(), "kind": "campaign"})


def _explained(campaign: str, rig_name: str, rig_text: str) -> Explanation:
    loaded = parse_campaign(campaign, "campaign.yaml", rig_text, rig_name)
    explained = Explained(loaded, preflight(loaded))
    return Explanation.model_validate({**explained.as_dict(), "text": explained.text()})
