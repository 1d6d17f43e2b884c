"""The preflight foretells for how many experiments syringes and budgets of reagent last, and runs bear it out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.config import LoadedCampaign
from orchestrator.errors import PreflightError, Problem
from orchestrator.preflight.checking import Explained
from orchestrator.preflight.findings import preflight
from orchestrator.preflight.lasting import Use
from tests.orchestrator.rehearsal import rehearse, small

USE = Use(
    kept_ul=4_000.0,
    fill_ul=1_000.0,
    fill_needs_ul=2_000.0,
    each_ul=1_000.0,
    dim_ul=0.0,
    ready_ul=1_700.0,
    replicate_ul=1_000.0,
    searched=3,
    replicates=0.5,
)


def with_solvent(volume_ml: float, **edits: str) -> LoadedCampaign:
    """Up to 25 experiments, of which 2 are initial unless said otherwise, on so much solvent."""
    syringe = {"volume: 100 ml, diameter: 38.4 mm": f"volume: {volume_ml} ml, diameter: 26.7 mm"}
    return small(25, **syringe, **{"initial: 8": "initial: 2", **edits})


def with_budget(reagent: str, **edits: str) -> LoadedCampaign:
    return small(25, **{"reactor_time: 24 h": f"reactor_time: 24 h\n  reagent: {{{reagent}}}"}, **edits)


def foretold(loaded: LoadedCampaign) -> int:
    """For how many experiments a warning says that the solvent lasts."""
    report = preflight(loaded)
    assert report.ok
    (warning,) = (each.message for each in report.warnings if "last for about" in each.message)
    found = re.search(r"\bof? 'solvent'(?: \(toluene\))? last for about (\d+) of 25 experiments", warning)
    assert found is not None
    return int(found[1])


def only_problem(loaded: LoadedCampaign) -> Problem:
    (problem,) = preflight(loaded).problems
    return problem


SHORT = {"range: [20 s, 300 s]": "range: [16 s, 25 s]"}


def every(interval: str) -> dict[str, str]:
    return {"discard: 1": f"discard: 1\n  reference_interval: {interval}"}


@pytest.mark.parametrize(
    ("volume_ml", "edits"),
    [
        (14, {}),
        (20, {}),
        (30, every("5 min")),
        (40, SHORT),
        (40, SHORT | every("5 min")),
        (20, {"integration: [5 ms, 2 s]": "integration: [5 ms, 8 s]"}),
        (20, {"reproduce: 2": "reproduce: 20"}),
    ],
    ids=["14 ml", "20 ml", "references", "short", "short with references", "dim", "replicates"],
)
def test_a_small_syringe_lasts_for_about_as_many_experiments_as_it_was_said_to(
    tmp_path: Path, volume_ml: int, edits: dict[str, str]
) -> None:
    loaded = with_solvent(volume_ml, **edits)
    ended = rehearse(loaded, tmp_path / "run.sqlite").state
    assert ended.stop_reason == "reagent"
    assert len(ended.told) == pytest.approx(foretold(loaded), abs=2)


@pytest.mark.parametrize("allowed_ml", [6, 12])
def test_a_budget_of_solvent_lasts_for_about_as_long_as_it_was_said_to_whatever_the_flush_takes(
    tmp_path: Path, allowed_ml: int
) -> None:
    loaded = with_budget(f"solvent: {allowed_ml} ml", **{"at_most: 10 min": "at_most: 40 min"})
    ended = rehearse(loaded, tmp_path / "run.sqlite").state
    assert ended.stop_reason == "budget_reagent"
    assert len(ended.told) == pytest.approx(foretold(loaded), abs=1)


@pytest.mark.parametrize("reproduce", [0, 2, 20])
def test_however_often_a_hit_is_to_be_reproduced_the_experiments_before_it_are_held_against_the_same_solvent(
    reproduce: int,
) -> None:
    repeated = {"reproduce: 2": f"reproduce: {reproduce}"}
    assert preflight(with_solvent(20, **repeated)).ok
    scant = only_problem(with_solvent(16, **repeated, **{"initial: 2": "initial: 8"}))
    assert (scant.path, scant.allowed) == ("budget.experiments", "about 8")


def test_replicates_come_with_a_sweep_after_the_experiments_that_search() -> None:
    assert USE.total_ul(3) == 5_000.0 + 3 * 1_000.0
    assert USE.total_ul(7) == 5_000.0 + 7 * 1_000.0 + 2 * 1_000.0
    # Five of 1000 µL and two sweeps begin where 700 µL more than the last takes are at hand.
    assert USE.lasts(5_000.0 + 700.0 + 3_000.0) == 3.0
    assert USE.lasts(5_000.0 + 700.0 + 6_000.0) == 5.0
    assert USE.lasts_at_most(5_000.0 + 700.0 + 6_000.0) == 6.0
    assert USE.used_up_by(1_000.0 + 5_900.0) == 5.0


def test_nothing_begins_where_the_line_cannot_be_filled_beside_the_flush() -> None:
    tight = Use(**{**vars(USE), "ready_ul": 500.0})
    assert tight.lasts(5_990.0) == tight.lasts_at_most(5_990.0) == 0.0
    assert tight.lasts(6_000.0) > 1.0


def test_a_syringe_too_small_for_the_initial_experiments_is_a_problem() -> None:
    loaded = with_solvent(10, **{"initial: 2": "initial: 8"})
    problem = only_problem(loaded)
    assert problem.message == "10 ml in the syringe of 'solvent' (toluene) last for about 3 experiments at the most"
    assert (problem.path, problem.offending, problem.allowed) == ("budget.experiments", "25", "about 3")


WASH = """  wash:
    driver: new_era
    port: pumps
    address: 4
    stock: toluene
    syringe: {{volume: {volume_ml} ml, diameter: 9 mm}}
    line_volume: 30 µl
    safe_mode_timeout: 30 s
"""


def washed_by_a_pump_of_its_own(volume_ml: float) -> LoadedCampaign:
    """A pump that no recipe uses flushes at the end."""
    oven = "  oven:\n    driver: eurotherm"
    edits = {
        oven: WASH.format(volume_ml=volume_ml) + oven,
        "    pump: solvent\n    flow: 400": "    pump: wash\n    flow: 400",
        "fixed:\n": "fixed:\n  no_wash:\n    kind: volume_fraction\n    of: wash\n    value: 0\n",
    }
    return small(5, **{"initial: 8": "initial: 2", **edits})


def test_a_syringe_smaller_than_the_flush_is_a_problem_of_that_flush_even_where_no_recipe_uses_it() -> None:
    loaded = washed_by_a_pump_of_its_own(3)
    problem = only_problem(loaded)
    assert "3 ml in the syringe of 'wash' (toluene) do not last for one experiment" in problem.message
    assert "the flush at the end may take 4.033 ml; a larger syringe or a shorter at_most" in problem.message
    assert "at_most: 10 min" in problem.source
    assert preflight(washed_by_a_pump_of_its_own(4.1)).ok


def test_a_flush_that_leaves_nothing_for_an_experiment_is_named_with_what_else_is_wanted() -> None:
    flush, fill = "the flush at the end may take", "filling the line for the blank"
    alone = only_problem(with_solvent(5, **{"at_most: 10 min": "at_most: 30 min"}))
    assert f"{flush} 12.03 ml;" in alone.message
    unfilled = only_problem(with_solvent(5.95))
    assert f"{flush} 4.033 ml and {fill} up to 2.026 ml;" in unfilled.message
    unfed = only_problem(with_solvent(6.5))
    assert re.search(rf"{flush} 4.033 ml and {fill} about 1\.\d+ ml and an experiment about 1\.\d+ ml;", unfed.message)
    assert alone.path == unfilled.path == unfed.path == "safe_sequence[1].at_most"


def test_a_run_that_has_begun_is_not_refused_for_what_it_is_expected_to_take() -> None:
    scant = preflight(with_solvent(10, **{"initial: 2": "initial: 8"}))
    scant.require(begun=True)
    with pytest.raises(PreflightError):
        scant.require()
    hot = preflight(with_solvent(10, **{"initial: 2": "initial: 8", "[60 degC, 160 degC]": "[60 degC, 200 degC]"}))
    with pytest.raises(PreflightError) as caught:
        hot.require(begun=True)
    assert "limit of temperature" in str(caught.value)
    assert "last for" not in str(caught.value)


def test_a_budget_of_reagent_that_ends_before_the_experiments_do_is_noted_and_explained() -> None:
    scant = with_budget("halide: 100 µl")
    (note,) = (each for each in preflight(scant).warnings if each.path == "budget.reagent.halide")
    assert note.message == "0.1 ml of 'halide' last for about 1 of 25 experiments"
    assert "for at most 25 experiments or 24 h or 0.1 mL of 'halide'." in Explained(scant, preflight(scant)).text()
    assert not any("budget.reagent" in each.path for each in preflight(with_budget("halide: 19 ml")).warnings)


def test_a_budget_of_solvent_below_the_filling_of_the_line_is_refused() -> None:
    problem = only_problem(with_budget("solvent: 500 µl"))
    assert problem.path == "budget.reagent.solvent"
    assert re.search(r"nothing is left for an experiment: .* takes about 1\.\d+ ml", problem.message)
    assert preflight(with_budget("solvent: 1.5 ml")).ok


def test_more_than_a_hundred_experiments_are_said_in_whole_ones() -> None:
    edits = {"reactor_time: 24 h": "reactor_time: 24 h\n  reagent: {pb: 18 ml}"}
    (note,) = (each for each in preflight(small(120, **edits)).warnings if each.path == "budget.reagent.pb")
    assert re.fullmatch(r"18 ml of 'pb' last for about 1[01]\d of 120 experiments", note.message)


def test_what_a_syringe_holds_is_explained_as_the_file_says_it() -> None:
    loaded = small(
        3,
        **{
            "volume: 20 ml, diameter: 19.13 mm": "volume: 0.4 ml, diameter: 3.26 mm",
            "volume: 50 ml, diameter: 26.7 mm": "volume: 18.1 ml, diameter: 17 mm",
        },
    )
    lines = Explained(loaded, preflight(loaded)).text().splitlines()
    assert {line.split()[0]: line.split()[2] for line in lines if line.endswith("µL/min")} == {
        "cs": "18.1",
        "pb": "18.1",
        "halide": "0.4",
        "solvent": "100",
    }
