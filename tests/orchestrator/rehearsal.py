"""A whole campaign on twins in virtual time, small enough for a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.deciders import LiveDecider, ResumingDecider
from orchestrator.campaign.header import Overrides, header_of
from orchestrator.campaign.steering import Steering
from orchestrator.clock.virtual_time import UtcClock, blocking_clock, run_virtual
from orchestrator.config import LoadedCampaign, parse_campaign
from orchestrator.history.run_state import RunState
from orchestrator.journal.journal import Event, Journal
from orchestrator.rig.build import build_rig
from orchestrator.rig.rig import Rig
from orchestrator.rig.tracing import RecordingTracer, Unrecorded

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
Watch = Callable[[Campaign, Rig, Event], None]


def small(experiments: int = 3, strategy: str = "sobol", **edits: str) -> LoadedCampaign:
    """The quickstart campaign with another planner and budget; ``edits`` replace texts of the two files."""
    campaign = (CONFIGS / "campaigns" / "quickstart.yaml").read_text()
    rig = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text()
    for old, new in edits.items():
        assert old in campaign + rig, f"the files do not say {old!r}"
        campaign, rig = campaign.replace(old, new), rig.replace(old, new)
    loaded = parse_campaign(campaign, "quickstart.yaml", rig, "perovskite-bench.yaml")
    budget = loaded.config.budget.model_copy(update={"experiments": experiments})
    planner = loaded.config.planner.model_copy(update={"strategy": strategy})
    config = loaded.config.model_copy(update={"budget": budget, "planner": planner})
    return LoadedCampaign(
        config,
        loaded.rig,
        loaded.campaign_path,
        loaded.rig_path,
        campaign,
        rig,
        loaded.campaign_source,
        loaded.rig_source,
    )


def rig_on_twins(**edits: str) -> Rig:
    """The quickstart campaign's rig on twins in the running virtual loop, recorded nowhere, not yet connected."""
    loop, loaded = asyncio.get_running_loop(), small(3, "sobol", **edits)
    return build_rig(loaded, Unrecorded(), hardware=False, clock=blocking_clock(loop), start_s=loop.time())


@dataclass(frozen=True)
class Rehearsed:
    """What came of it, and the rig as it was left."""

    state: RunState
    events: tuple[Event, ...]
    rig: Rig
    dump: str

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


def rehearse(
    loaded: LoadedCampaign,
    path: Path,
    *,
    watch: Watch | None = None,
    resume: str | None = None,
    steering: Steering | None = None,
    missing_ul: Mapping[str, float] | None = None,
) -> Rehearsed:
    """Run it, or go on with it: ``resume`` is "exactly" (twins catch up) or "in doubt" (as on steel).

    ``missing_ul``: what the syringes lack of being full as it begins.
    """

    async def main() -> Rehearsed:
        loop = asyncio.get_running_loop()
        clock = UtcClock(loop)
        with Journal.open(path, clock) if resume else Journal.create(path, clock) as journal:
            recorded = tuple(journal.events())
            history = recorded if resume == "in doubt" else ()
            if resume == "exactly":
                journal.catch_up()
            header = (
                recorded[0].data if recorded else header_of(loaded, Overrides(), hardware=False, missing_ul=missing_ul)
            )
            rig = build_rig(
                loaded,
                RecordingTracer(journal, clock),
                hardware=False,
                clock=blocking_clock(loop),
                start_s=loop.time(),
                history=history,
                missing_ul=missing_ul,
            )
            failed: list[Exception] = []

            def heard(event: Event) -> None:
                try:
                    if watch is not None:
                        watch(campaign, rig, event)
                except Exception as error:
                    failed.append(error)
                    raise

            live = LiveDecider(loaded)
            campaign = Campaign(
                loaded,
                rig,
                journal,
                ResumingDecider(journal, live) if resume == "exactly" else live,
                header=header,
                history=history,
                on_event=heard,
                steering=steering,
            )
            if resume == "exactly":
                campaign.interrupt_as_recorded(recorded, clock)
            state = await campaign.run()
            if failed:
                raise failed[0]  # whoever looks on in a test must not be wrong unnoticed
            return Rehearsed(state, tuple(journal.events()), rig, journal.dump())

    start_s = 0.0
    if resume == "in doubt":
        with Journal.open(path, readonly=True) as earlier:
            start_s = earlier.last_t_s
    return run_virtual(main(), start_s=start_s)
