"""Routes for the texts that people write: is this campaign sound, what would it do, what may stand in it."""

from __future__ import annotations

from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.campaign.archives import taken_along
from orchestrator.config import LoadedCampaign, json_schema, parse_campaign, parse_rig
from orchestrator.daemon.commands import Archives, CampaignText, RigName
from orchestrator.daemon.http.api import Api, TheApi
from orchestrator.daemon.http.errors import COMMON, WITH_BODY, ApiError, ProblemBody, declared
from orchestrator.preflight.checking import Checked, explained, report_with

router = APIRouter(prefix="/api", tags=["texts"])


class _Text(BaseModel):
    """``archives``: the experiments of those that a campaign names, as ``submit`` takes them."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    rig: RigName | None = Field(default=None, description="A rig of the daemon.")
    rig_text: CampaignText | None = Field(default=None, description="The text of another rig's file instead.")
    archives: Archives = ()


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
    return await api.heavy(partial(_validated, sent.campaign, rig_name, rig_text, sent.archives))


@router.post("/explain", responses=declared(*COMMON, *WITH_BODY))
async def explain(api: TheApi, sent: Annotated[ToExplain, Body()]) -> Explanation:
    """Say what a campaign would do: reagents, hours, limits."""
    rig_name, rig_text = _rig_of(api, sent)
    return await api.heavy(partial(_explained, sent.campaign, rig_name, rig_text, sent.archives))


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


def _validated(campaign: str | None, rig_name: str, rig_text: str, archives: Archives) -> Validated:
    if campaign is None:
        parse_rig(rig_text, rig_name)
        return Validated(kind="rig", ok=True)
    loaded = parse_campaign(campaign, "campaign.yaml", rig_text, rig_name)
    checked = Checked(FilePath("campaign.yaml"), "campaign", report_with(loaded, _along(loaded, archives)))
    return Validated.model_validate({**checked.as_dict(), "kind": "campaign"})


def _explained(campaign: str, rig_name: str, rig_text: str, archives: Archives) -> Explanation:
    loaded = parse_campaign(campaign, "campaign.yaml", rig_text, rig_name)
    said = explained(loaded, _along(loaded, archives))
    return Explanation.model_validate({**said.as_dict(), "text": said.text()})


def _along(loaded: LoadedCampaign, archives: Archives) -> list[dict[str, Any]] | None:
    return taken_along(loaded, [archive.model_dump() for archive in archives]) if archives else None
