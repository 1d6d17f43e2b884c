"""The lamp's own line through clean solvent, and what the conductor does when it is no longer what it was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import LoadedCampaign
from orchestrator.experiment.reference import Reference
from orchestrator.history.fold import fold
from orchestrator.journal.journal import Event
from orchestrator.recipes.plumbing import sweep_s
from orchestrator.sittings.replay import replay_run
from orchestrator.sittings.show import Show
from simulators.faults import FaultKind
from tests.benchmarks.fault_rows import BRIGHT
from tests.orchestrator.rehearsal import Rehearsed, rehearse, small

EXPERIMENTS = 4


def often(interval: str = "1 min") -> LoadedCampaign:
    """A short campaign of recipes with a clear line, which looks at its reference before almost every experiment."""
    return small(
        EXPERIMENTS,
        **{
            **BRIGHT,
            "experiments: 25": f"experiments: {EXPERIMENTS}",
            "strategy: ensemble": "strategy: sobol",
            "initial: 8": f"initial: {EXPERIMENTS}",
            "  dark_repeats: 3": f"  dark_repeats: 3\n  reference_interval: {interval}",
        },
    )


def run(path: Path, kind: FaultKind | None, size: float = 0.0, *, interval: str = "1 min") -> Rehearsed:
    """The fault begins while the first experiment doses."""

    def watch(campaign: Any, rig: Any, event: Event) -> None:
        if kind is not None and event.kind == "dosing" and event.data["n"] == 1:
            rig.faults.inject(asyncio.get_running_loop(), kind, "spectrometer", size=size)

    return rehearse(often(interval), path / "run.sqlite", watch=watch)


def yields(ended: Rehearsed) -> list[float]:
    found = [experiment.quantum_yield for experiment in ended.state.told]
    assert None not in found
    return [each for each in found if each is not None]


def outcomes(ended: Rehearsed) -> list[str]:
    return [str(checked["outcome"]) for checked in ended.state.references]


@pytest.mark.parametrize(
    ("rate", "outcome"),
    [
        (1000.0 * (1.0 - 0.003 * 24.0), "steady"),
        (890.0, "shifted"),
        (1110.0, "shifted"),
        (490.0, "lost"),
        (0.0, "lost"),
    ],
)
def test_a_sound_lamps_drift_is_steady_and_more_is_not(rate: float, outcome: str) -> None:
    assert Reference(1000.0).check(rate).outcome == outcome


def test_a_new_blank_is_what_counts_but_the_first_is_not_forgotten() -> None:
    reference = Reference(1000.0)
    reference.renew(600.0)
    assert reference.check(590.0).outcome == "steady"
    assert reference.check(590.0).shift_in_all == pytest.approx(-0.41)
    assert reference.check(490.0).outcome == "lost"


def test_a_blank_without_light_is_no_reference() -> None:
    with pytest.raises(ValueError, match="no light"):
        Reference(0.0)


def test_a_laminar_tube_takes_longer_to_sweep_than_a_segmented_one() -> None:
    rig = often().rig
    slow = rig.model_copy(
        update={
            "plumbing": rig.plumbing.model_copy(
                update={"transit": rig.plumbing.transit.model_copy(update={"flow": "laminar"})}
            )
        }
    )
    assert 1.4 < sweep_s(rig, 511.0) / 60.0 < 1.6
    assert sweep_s(slow, 511.0) > sweep_s(rig, 511.0)


def test_a_sound_reference_is_looked_at_through_solvent_and_corrects_the_blank_a_little(tmp_path: Path) -> None:
    ended = run(tmp_path, None)
    assert outcomes(ended) == ["steady"] * (EXPERIMENTS - 1)
    assert all(abs(checked["shift"]) < 0.005 for checked in ended.state.references)
    assert [list(checked["covers"]) for checked in ended.state.references] == [[1], [2], [3]]
    assert ended.kinds.count("blank_taken") == 1
    assert replay_run(tmp_path / "run.sqlite", Show(as_json=True)).same


def test_within_its_interval_the_reference_costs_nothing(tmp_path: Path) -> None:
    assert outcomes(run(tmp_path, None, interval="10 h")) == []


@pytest.mark.parametrize(("kind", "size"), [(FaultKind.LAMP_DRIFT, -0.6), (FaultKind.FOULING, 0.4)])
def test_a_reference_beyond_its_bound_has_the_blank_taken_again(tmp_path: Path, kind: FaultKind, size: float) -> None:
    ended = run(tmp_path, kind, size)
    first = outcomes(ended).index("shifted")
    assert ended.state.trips == ()
    at = [index for index, event in enumerate(ended.events) if event.kind == "reference_checked"][first]
    assert ended.kinds[at + 1] == "blank_taken"
    assert ended.kinds.count("blank_taken") == 1 + outcomes(ended).count("shifted")
    # The experiments that were read with the old blank are named, so that nobody trusts their yields.
    assert ended.events[at].data["covers"]
    assert replay_run(tmp_path / "run.sqlite", Show(as_json=True)).same
    assert ended.state.blank != fold(ended.events[:at]).blank


def test_the_yield_follows_a_lamp_that_has_become_brighter(tmp_path: Path) -> None:
    (tmp_path / "sound").mkdir()
    (tmp_path / "bright").mkdir()
    sound, bright = run(tmp_path / "sound", None), run(tmp_path / "bright", FaultKind.SATURATION, 1.08)
    assert outcomes(bright) == ["steady"] * (EXPERIMENTS - 1)
    first, *later = zip(yields(sound), yields(bright), strict=True)
    # The first was read before anybody looked at the reference again.
    assert first[1] > 1.1 * first[0]
    assert all(b == pytest.approx(a, rel=0.01) for a, b in later)


def test_a_cell_that_has_lost_half_of_its_light_trips_and_ends_safely(tmp_path: Path) -> None:
    ended = run(tmp_path, FaultKind.FOULING, 3.0)
    assert outcomes(ended)[-1] == "lost"
    assert [(trip["interlock"], trip["device"]) for trip in ended.state.trips] == [("reference lost", "spectrometer")]
    assert ended.state.stop_reason == "fault"
    assert ended.state.safe is True
    assert replay_run(tmp_path / "run.sqlite", Show(as_json=True)).same
