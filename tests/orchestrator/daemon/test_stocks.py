"""A campaign may want another stock in a syringe than it holds: it is never drawn, nor counted, as the wrong one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.orchestrator.daemon.desk import Desk, campaign_text, daemon_file, life, run_of
from tests.orchestrator.rehearsal import CONFIGS


def blue() -> str:
    """A campaign of one experiment that wants chloride where the rig file has iodide."""
    text = (CONFIGS / "campaigns" / "blue-2.60.yaml").read_text()
    assert "experiments: 25" in text
    return text.replace("experiments: 25", "experiments: 1") + "\nplanner:\n  strategy: sobol\n  initial: 1\n"


def on_hardware(desk: Desk) -> None:
    """The rig's twins stand for devices: nobody changes a syringe of itself."""
    station = desk.daemon.stations["bench"]
    station.place = replace(station.place, hardware=True)


def test_a_campaign_that_wants_another_stock_waits_until_a_person_says_that_it_is_there(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        on_hardware(desk)
        said = await desk.ask("submit", campaign=blue())
        assert said.accepted
        assert "zinc_chloride in halide, which holds zinc_iodide" in said.detail
        assert "lumiflow refill halide --stock zinc_chloride" in said.detail
        state = await desk.rig()
        assert (state.state, state.job) == ("paused", None)
        assert "zinc_chloride in halide" in state.detail
        resumed = await desk.ask("resume")
        assert not resumed.accepted
        assert "zinc_chloride in halide" in resumed.detail
        assert not (await desk.ask("refill", pump="halide")).detail.endswith("zinc_chloride")
        assert (await desk.rig()).state == "paused"
        assert "no stock milk" in (await desk.ask("refill", pump="halide", stock="milk")).detail
        assert (await desk.ask("refill", pump="halide", stock="zinc_chloride", volume_ul=15_000.0)).accepted
        await desk.until("running")
        state = await desk.until("idle")
        halide = state.syringes["halide"]
        assert halide.stock == "zinc_chloride"
        assert halide.left_ul is not None
        assert halide.left_ul < 15_000.0

    async def next_day(desk: Desk) -> None:
        on_hardware(desk)
        assert (await desk.rig()).syringes["halide"].stock == "zinc_chloride"
        iodide = await desk.ask("submit", campaign=campaign_text(1))
        assert "zinc_iodide in halide, which holds zinc_chloride" in iodide.detail
        assert (await desk.rig()).state == "paused"

    path = daemon_file(tmp_path)
    life(path, story)
    life(path, next_day)


def test_a_twin_is_given_the_stock_that_its_campaign_wants_and_each_is_counted_by_itself(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.submit(1)
        await desk.until("idle")
        iodide_ul = await desk.left_ul("halide")
        assert iodide_ul < 20_000.0
        said = await desk.ask("submit", campaign=blue())
        assert said.job is not None
        await desk.until("idle")
        assert (await desk.rig()).syringes["halide"].stock == "zinc_chloride"
        assert run_of(tmp_path, said.job).header["missing_ul"].get("halide", 0.0) == 0.0
        chloride_ul = await desk.left_ul("halide")
        assert chloride_ul < 20_000.0
        again = await desk.submit(1)
        await desk.until("idle")
        assert run_of(tmp_path, again).header["stocks"]["halide"]["stock"] == "zinc_iodide"

    life(daemon_file(tmp_path), story)


@pytest.mark.parametrize("verb", ["cancel", "move"])
def test_what_fits_begins_once_the_campaign_that_waits_for_a_syringe_is_out_of_its_way(
    tmp_path: Path, verb: str
) -> None:
    async def story(desk: Desk) -> None:
        on_hardware(desk)
        waits = (await desk.ask("submit", campaign=blue())).job
        fits = await desk.submit(1)
        assert (await desk.rig()).state == "paused"
        about = {"job": waits} if verb == "cancel" else {"job": fits, "place": 1}
        assert (await desk.ask(verb, **about)).accepted
        assert (await desk.event("run_started")).data["run"] == fits
        await desk.until("idle" if verb == "cancel" else "paused")
        assert run_of(tmp_path, fits).ended

    life(daemon_file(tmp_path), story)


def test_a_campaign_that_names_no_stock_takes_what_the_rig_file_says_today(tmp_path: Path) -> None:
    path = daemon_file(tmp_path)

    async def submitted(desk: Desk) -> None:
        await desk.ask("pause")
        await desk.submit(1)
        await desk.ask("refill", pump="halide", stock="zinc_chloride")

    async def renamed(desk: Desk) -> None:
        on_hardware(desk)
        resumed = await desk.ask("resume")
        assert "zinc_iodide_b2 in halide, which holds zinc_chloride" in resumed.detail
        assert (await desk.rig()).state == "paused"
        assert (await desk.ask("refill", pump="halide", stock="zinc_iodide_b2")).accepted
        await desk.event("run_started")
        await desk.until("idle")

    async def renamed_again(desk: Desk) -> None:
        refused = await desk.ask("refill", pump="halide")
        assert not refused.accepted
        assert "held zinc_iodide_b2, which bench has no more: say what it holds now" in refused.detail

    life(path, submitted)
    rig = (tmp_path / "rig.yaml").read_text()
    (tmp_path / "rig.yaml").write_text(rig.replace("zinc_iodide", "zinc_iodide_b2"))
    life(path, renamed)
    (tmp_path / "rig.yaml").write_text(rig)
    life(path, renamed_again)


def test_nothing_begins_on_a_syringe_that_counts_as_empty(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.ask("refill", pump="solvent", volume_ul=0.0)
        said = await desk.ask("submit", campaign=campaign_text(1))
        assert said.accepted
        assert "it waits for what counts as empty: solvent (lumiflow refill solvent" in said.detail
        assert "counts as empty: solvent" in (await desk.rig()).detail
        resumed = await desk.ask("resume")
        assert not resumed.accepted
        assert "counts as empty: solvent" in resumed.detail
        assert (await desk.ask("refill", pump="solvent")).accepted
        await desk.until("running")
        await desk.until("idle")
        assert run_of(tmp_path, str(said.job)).stop_reason == "budget_experiments"

    life(daemon_file(tmp_path), story)


def test_what_follows_a_campaign_that_ended_for_reagent_waits_until_the_syringe_is_filled(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.ask("refill", pump="solvent", volume_ul=9_000.0)
        short = await desk.submit(6)
        follows = await desk.submit(1)
        state = await desk.until("paused")
        assert run_of(tmp_path, short).stop_reason == "reagent"
        assert [job.job for job in state.queue] == [follows]
        assert state.detail.startswith(f"{short}: solvent holds")
        advice = "nothing begins until it is resumed, once the syringe holds enough (lumiflow refill)"
        assert state.detail.endswith(f"flush at the end; {advice}")
        await desk.ask("refill", pump="solvent")
        assert (await desk.rig()).detail.endswith(f"flush at the end; filled since: solvent; {advice}")
        assert (await desk.ask("resume")).accepted
        await desk.until("running")
        assert (await desk.until("idle")).detail == ""
        assert run_of(tmp_path, follows).stop_reason == "budget_experiments"

    life(daemon_file(tmp_path), story)


def test_a_campaign_that_has_used_what_its_file_allows_holds_nothing_up(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        allowed = await desk.submit(10, **{"reactor_time: 24 h": "reactor_time: 24 h\n  reagent: {cs: 300 ul}"})
        follows = await desk.submit(1)
        await desk.event("ended")
        await desk.until("running")
        assert (await desk.until("idle", "paused")).state == "idle"
        run = run_of(tmp_path, allowed)
        assert (run.stop_reason, run.stop_detail.endswith("of the 0.30 mL allowed")) == ("budget_reagent", True)
        assert run_of(tmp_path, follows).stop_reason == "budget_experiments"

    life(daemon_file(tmp_path), story)
