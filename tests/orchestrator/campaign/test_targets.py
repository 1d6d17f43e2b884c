"""Several targets are worked off one after the other, each with its share; later ones learn from earlier ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.campaign.header import Overrides
from orchestrator.campaign.planning import recommendation_request, request
from orchestrator.campaign.targets import Done, decide, replicate, share, targets_of
from orchestrator.config import LoadedCampaign, parse_campaign
from orchestrator.config.campaign import Plateau
from orchestrator.errors import ConfigError
from orchestrator.history.run_state import Experiment, RunState, Stop
from orchestrator.history.summary import summary
from orchestrator.preflight.checking import Explained
from orchestrator.preflight.findings import preflight
from orchestrator.report import render_report
from orchestrator.sittings.runner import RunResult
from orchestrator.sittings.show import Show
from tests.orchestrator.campaign.test_campaign import cut_after
from tests.orchestrator.campaign.test_stopping import told
from tests.orchestrator.rehearsal import Rehearsed, rehearse, small

TOLERANCE = "    tolerance: 5 meV\n"


def several(*targets: str, experiments: int = 12, wide: str = "5 meV") -> LoadedCampaign:
    """The quickstart with targets after its 2.25 eV."""
    lines = "".join(f"    - {{target: {target}}}\n" for target in targets)
    return small(experiments, **{TOLERANCE: f"    tolerance: {wide}\n  then:\n{lines}"})


TWO = several("2.40 eV").config


def at(n: int, peak_ev: float, target: int = 1, of: int | None = None) -> Experiment:
    return replace(told(n, 1e3 * (peak_ev - 2.25), of=of), target=target)


def done(target: int, reason: str = "target_reproduced") -> dict[str, object]:
    return {"target": target, "reason": reason, "detail": ""}


FIRST = (at(1, 2.25), at(2, 2.251, of=1), at(3, 2.249, of=1))


def test_a_reproduced_target_is_done_with_and_the_next_one_is_present() -> None:
    ended = decide(TWO, RunState(experiments=FIRST), 0.0)
    assert isinstance(ended, Done)
    assert ended.data["target"] == 1
    assert ended.reason == "target_reproduced"
    after = RunState(experiments=FIRST, targets_done=(done(1),))
    assert decide(TWO, after, 0.0) is None
    assert replicate(TWO, after) is None


def test_an_experiment_for_one_target_may_have_met_another() -> None:
    lucky = (at(1, 2.401), *(replace(e, n=e.n + 1, of=e.of and 2) for e in FIRST))
    state = RunState(experiments=lucky, targets_done=(done(1),))
    assert replicate(TWO, state) == lucky[0]


def test_a_target_that_has_used_its_share_gives_way() -> None:
    far = tuple(at(n, 2.0) for n in range(1, 7))
    assert share(TWO, RunState()) == 6
    assert decide(TWO, RunState(experiments=far[:5]), 0.0) is None
    ended = decide(TWO, RunState(experiments=far), 0.0)
    assert isinstance(ended, Done)
    assert ended.reason == "budget_experiments"


def test_a_recipe_on_target_is_still_repeated_when_the_share_is_used() -> None:
    late = (*(at(n, 2.0) for n in range(1, 6)), at(6, 2.25))
    assert decide(TWO, RunState(experiments=late), 0.0) is None
    assert replicate(TWO, RunState(experiments=late)) == late[-1]
    off = RunState(experiments=(*late, at(7, 2.3, of=6)))
    assert isinstance(decide(TWO, off, 0.0), Done)


def test_what_a_target_leaves_of_its_share_goes_to_the_others() -> None:
    three = several("2.40 eV", "2.10 eV").config
    assert share(three, RunState(experiments=FIRST[:2], targets_done=(done(1),))) == 5
    state = RunState(experiments=(*FIRST[:2], *(at(n, 2.0, 2) for n in range(3, 6))), targets_done=(done(1), done(2)))
    assert share(three, state) == 7


def test_a_plateau_ends_its_target_and_not_the_campaign() -> None:
    rule = Plateau.model_validate({"experiments": 2, "improvement": "1 meV"})
    flat = TWO.model_copy(update={"stop": TWO.stop.model_copy(update={"plateau": rule})})
    ended = decide(flat, RunState(experiments=tuple(at(n, 2.0) for n in range(1, 4))), 0.0)
    assert isinstance(ended, Done)
    assert ended.reason == "plateau"
    second = (*(at(n, 2.0) for n in range(1, 4)), at(4, 2.1, 2), at(5, 2.1, 2))
    assert decide(flat, RunState(experiments=second, targets_done=(done(1, "plateau"),)), 0.0) is None


@pytest.mark.parametrize(
    ("outcomes", "reason", "words"),
    [
        (("target_reproduced", "target_reproduced"), "target_reproduced", "2 of 2 targets were reached"),
        (("plateau", "target_reproduced"), "plateau", "1 of 2 targets were reached and reproduced, not 2.25 eV"),
        (("target_reproduced", "budget_experiments"), "budget_experiments", "not 2.4 eV"),
    ],
)
def test_the_campaign_has_reached_its_target_when_all_were(outcomes: tuple[str, str], reason: str, words: str) -> None:
    ended = decide(TWO, RunState(targets_done=tuple(done(i + 1, each) for i, each in enumerate(outcomes))), 0.0)
    assert isinstance(ended, Stop)
    assert ended.reason == reason
    assert words in ended.detail


def test_the_time_of_the_whole_campaign_ends_it_whatever_the_target() -> None:
    ended = decide(TWO, RunState(experiments=FIRST, targets_done=(done(1),)), 1e9)
    assert isinstance(ended, Stop)
    assert ended.reason == "budget_time"
    assert "1 of 2 targets" in ended.detail


def test_the_planner_hears_of_every_experiment_and_of_the_present_target() -> None:
    loaded = several("2.40 eV")
    recipe = {"iodide_fraction": 0.5, "cs_to_pb": 1.5, "residence_time": 60.0, "temperature": 120.0}
    experiments = tuple(replace(each, recipe=recipe) for each in FIRST)
    asked = request(loaded.config, loaded.rig, RunState(experiments=experiments, targets_done=(done(1),)))
    assert asked.objective.target == 2.40
    assert [observation.peak_ev for observation in asked.observations] == [2.25, 2.251, 2.249]
    advised = recommendation_request(loaded.config, loaded.rig, RunState(experiments=experiments))
    assert advised.objective.target == 2.25


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rehearsed, Path]:
    path = tmp_path_factory.mktemp("targets") / "run.sqlite"
    return rehearse(EASY, path), path


EASY = small(
    4,
    **{
        TOLERANCE: "    tolerance: 5 meV\n  then:\n    - {target: 2.30 eV, tolerance: 400 meV}\n",
        "reproduce: 2": "reproduce: 1",
    },
)


def test_a_run_goes_from_target_to_target_and_recommends_for_each(run: tuple[Rehearsed, Path]) -> None:
    rehearsed, _ = run
    proposed = [event.data for event in rehearsed.events if event.kind == "proposed"]
    assert [data["target"] for data in proposed] == [1, 1, 2]
    assert [data["target_ev"] for data in proposed] == [2.25, 2.25, 2.30]
    ends = [event.data for event in rehearsed.events if event.kind == "target_done"]
    assert [(data["target"], data["reason"]) for data in ends] == [(1, "budget_experiments"), (2, "target_reproduced")]
    assert proposed[2]["kind"] == "replicate", "an experiment for the first target had met the second"
    advice = [event.data for event in rehearsed.events if event.kind == "recommended"]
    assert [(data["target"], data["target_ev"]) for data in advice] == [(1, 2.25), (2, 2.30)]
    for data in advice:
        if data["measured"]:
            assert data["error_ev"] == pytest.approx(data["measured"]["peak_ev"] - data["target_ev"])
    assert rehearsed.state.stop_reason == "budget_experiments"


def test_its_summary_speaks_of_each_target(run: tuple[Rehearsed, Path]) -> None:
    facts = summary(run[0].state)
    assert [found["outcome"] for found in facts["targets"]] == ["budget_experiments", "target_reproduced"]
    assert [found["experiments"] for found in facts["targets"]] == [2, 1]
    assert facts["peak_ev"] == facts["targets"][1]["peak_ev"]
    assert facts["error_mev"] == facts["targets"][1]["error_mev"]
    assert "targets" not in summary(RunState(header={"target_ev": 2.25, "tolerance_ev": 0.005}))


def test_its_report_lists_the_targets(run: tuple[Rehearsed, Path]) -> None:
    page = render_report(run[1])
    assert "The targets" in page
    assert '<td class="outcome">reached and reproduced</td>' in page
    assert "1 of 2 targets were reached and reproduced, not 2.25 eV" in page


def test_a_run_that_missed_one_of_its_targets_is_not_said_to_have_done_all_experiments_of_its_budget(
    run: tuple[Rehearsed, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    state, path = run[0].state, run[1]
    assert len(state.told) < state.header["budget"]["experiments"]
    page = render_report(path, {"cannot": "nobody asked"})
    assert "Not every target was reached" in page
    assert "All experiments of the budget" not in page
    Show(as_json=False).finished(RunResult(state, path, None, 1.0, state.stop_detail))
    said = capsys.readouterr().out
    assert "Not every target was reached" in said
    assert "is spent" not in said


@pytest.mark.parametrize(("kind", "n"), [("target_done", 1), ("dosing", 3)])
def test_an_interrupted_run_goes_on_to_the_same_journal(
    run: tuple[Rehearsed, Path], tmp_path: Path, kind: str, n: int
) -> None:
    cut = tmp_path / "cut.sqlite"
    if kind == "target_done":
        kind, n = "told", 2
    cut_after(cut, run[0], kind, n, run[1])
    assert rehearse(EASY, cut, resume="exactly").dump == run[0].dump


def test_explain_says_which_targets_and_how_they_share() -> None:
    loaded = several("2.40 eV", "2.10 eV")
    explained = Explained(loaded, preflight(loaded))
    assert "Looks for a peak at 2.25 eV ± 5 meV, then at 2.4 eV ± 5 meV, then at 2.1 eV ± 5 meV on" in explained.text()
    assert "equal share" in explained.text()
    assert [target["target_ev"] for target in explained.as_dict()["targets"]] == [2.25, 2.40, 2.10]


def test_a_target_on_the_command_line_stands_in_place_of_all() -> None:
    aimed = Overrides(target="2.3 eV").applied(several("2.40 eV"))
    assert [peak.target_ev for peak in targets_of(aimed.config)] == [2.3]


@pytest.mark.parametrize(
    ("targets", "experiments", "path", "words"),
    [
        (("1.2 eV",), 12, "objective.then[0].target", "outside the detector's emission window"),
        (("2.25 eV",), 12, "objective.then[0].target", "listed twice"),
        (("551.0408817777778 nm",), 12, "objective.then[0].target", "listed twice"),
        (("2.4 eV, tolerance: 5 K",), 12, "objective.then[0].tolerance", "an energy difference is wanted"),
        (("2.4 eV", "2.3 eV"), 2, "budget.experiments", "3 targets need as many"),
    ],
)
def test_targets_that_make_no_sense_are_refused(
    targets: tuple[str, ...], experiments: int, path: str, words: str
) -> None:
    good = small()
    lines = "".join(f"    - {{target: {target}}}\n" for target in targets)
    text = good.campaign_text.replace(TOLERANCE, f"{TOLERANCE}  then:\n{lines}")
    text = text.replace("experiments: 25", f"experiments: {experiments}").replace("initial: 8", "initial: 2")
    with pytest.raises(ConfigError) as caught:
        parse_campaign(text, "c.yaml", good.rig_text, "r.yaml")
    (problem,) = caught.value.problems
    assert problem.path == path
    assert words in problem.summary()
