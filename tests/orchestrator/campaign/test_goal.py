"""An objective of several parts decides what is repeated, when a campaign is over, and what is refused in its file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.campaign import goal
from orchestrator.campaign.header import Overrides, header_of
from orchestrator.campaign.planning import read_outputs, request
from orchestrator.campaign.stopping import decide_stop, wanted_replicate
from orchestrator.config import LoadedCampaign, parse_campaign
from orchestrator.errors import ConfigError
from orchestrator.history.run_state import Experiment, RunState
from orchestrator.preflight.checking import Explained
from orchestrator.preflight.findings import preflight
from planners import Desirability, InOrder
from tests.orchestrator.campaign.test_stopping import told
from tests.orchestrator.rehearsal import CONFIGS, small

WEIGHTS = """  fwhm:
    weight: 0.25
    scale: 100 meV # a line of this width has lost half of what a narrow one is worth
  yield:
    weight: 0.25
"""
DESIRABLE = """  desirability:
    peak: {none_beyond: 40 meV}
    fwhm: {full_at: 80 meV, none_at: 160 meV}
    yield: {none_at: 10 %, full_at: 70 %, weight: 2}
    enough: 0.6
"""
ORDER = """  in_order:
    - {kind: fwhm, at_most: 110 meV}
    - {kind: yield, patience: 2, improvement: 2 %}
"""


def wanting(objective: str, **edits: str) -> LoadedCampaign:
    """The quickstart with another way to weigh width and yield."""
    return small(25, **{WEIGHTS: objective, "reproduce: 2": "reproduce: 1", **edits})


DESIRED, ORDERED = wanting(DESIRABLE).config, wanting(ORDER).config


def read(n: int, fwhm_mev: float, bright: float | None, *, error_mev: float = 1.0, of: int | None = None) -> Experiment:
    return replace(told(n, error_mev, of=of), fwhm_ev=fwhm_mev / 1e3, quantum_yield=bright)


def state(*experiments: Experiment) -> RunState:
    return RunState(experiments=experiments)


def test_a_file_says_the_objective_that_the_planner_gets() -> None:
    desired, ordered = goal.objective(DESIRED), goal.objective(ORDERED)
    assert isinstance(desired, Desirability)
    assert desired.quantum_yield is not None
    assert (desired.none_beyond_ev, desired.quantum_yield.weight, desired.enough) == (0.04, 2.0, 0.6)
    assert isinstance(ordered, InOrder)
    assert [(step.output, step.bound) for step in ordered.steps] == [("fwhm_ev", 0.11), ("quantum_yield", None)]
    loaded = wanting(DESIRABLE)
    assert request(loaded.config, loaded.rig, RunState()).objective == desired


def test_a_peak_on_target_is_not_repeated_while_the_rest_is_not_desirable_enough() -> None:
    assert wanted_replicate(DESIRED, state(read(1, 150.0, 0.2))) is None
    assert wanted_replicate(DESIRED, state(read(1, 90.0, 0.6))) is not None
    assert wanted_replicate(DESIRED, state(read(1, 90.0, 0.6, error_mev=6.0))) is None
    assert wanted_replicate(DESIRED, state(read(1, 90.0, None))) is None


def test_the_end_tells_every_desirability() -> None:
    stop = decide_stop(DESIRED, state(read(1, 90.0, 0.6), read(2, 90.0, 0.6, of=1)), 0.0)
    assert stop is not None
    assert stop.reason == "target_reproduced"
    assert "overall desirability 0.88 (peak 0.98, width 0.88, yield 0.83), 0.60 wanted" in stop.detail


def test_a_plateau_is_one_of_the_overall_desirability() -> None:
    text = WEIGHTS, "reproduce: 2\n"
    flat = small(25, **{text[0]: DESIRABLE, text[1]: "reproduce: 1\n  plateau: {experiments: 2, desirability: 0.05}\n"})
    rising = state(*(read(n, 150.0 - 3 * n, 0.2) for n in (1, 5, 9)))
    assert decide_stop(flat.config, rising, 0.0) is None
    still = state(*(read(n, 150.0 - 0.1 * n, 0.2) for n in range(1, 5)))
    stop = decide_stop(flat.config, still, 0.0)
    assert stop is not None
    assert "overall desirability has gone from 0.242" in stop.detail


def test_an_open_end_is_searched_until_nothing_betters_it_for_as_long_as_the_order_waits() -> None:
    better = [read(1, 100.0, 0.3), read(2, 100.0, 0.4), read(3, 105.0, 0.5)]
    assert wanted_replicate(ORDERED, state(*better)) is None
    still = [*better, read(4, 100.0, 0.51), read(5, 120.0, 0.9)]
    assert wanted_replicate(ORDERED, state(*still)) == still[3]
    assert decide_stop(ORDERED, state(*still), 0.0) is None
    stop = decide_stop(ORDERED, state(*still, read(6, 101.0, 0.5, of=4)), 0.0)
    assert stop is not None
    assert "yield 50 % (wanted as high as possible)" in stop.detail


def test_a_repeat_that_leaves_a_bound_sends_the_proof_to_the_next_best() -> None:
    still = [read(1, 100.0, 0.5), read(2, 100.0, 0.48), read(3, 100.0, 0.4), read(4, 100.0, 0.3)]
    assert wanted_replicate(ORDERED, state(*still)) == still[0]
    assert wanted_replicate(ORDERED, state(*still, read(5, 115.0, 0.5, of=1))) == still[1]


def test_of_two_that_are_as_good_the_one_already_repeated_is_proven() -> None:
    still = [read(1, 100.0, 0.500), read(2, 100.0, 0.505), read(3, 100.0, 0.4), read(4, 100.0, 0.3)]
    again = state(*still, read(5, 100.0, 0.500, of=1))
    stop = decide_stop(ORDERED, again, 0.0)
    assert stop is not None
    assert stop.detail.startswith("experiment 1 and its replicate lie")


def test_with_bounds_on_all_the_first_that_meets_them_is_repeated() -> None:
    bounded = wanting(ORDER.replace("patience: 2, improvement: 2 %", "at_least: 40 %")).config
    assert wanted_replicate(bounded, state(read(1, 100.0, 0.39))) is None
    assert wanted_replicate(bounded, state(read(1, 100.0, 0.41))) is not None


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (DESIRABLE, "(weights: peak 1, width 1, yield 2)"),
        (ORDER, "a width of at most 110 meV, a yield as high as possible"),
    ],
)
def test_explain_and_the_journal_say_it_in_words(objective: str, words: str) -> None:
    loaded = wanting(objective)
    assert words in Explained(loaded, preflight(loaded)).text()
    header = header_of(loaded, Overrides(), hardware=False)
    assert words in header["wanted"]
    assert "wanted" not in header_of(small(), Overrides(), hardware=False)


@pytest.mark.parametrize(
    ("objective", "path", "words"),
    [
        (DESIRABLE + ORDER, "objective.in_order", "has desirability already"),
        (WEIGHTS + DESIRABLE, "objective.fwhm", "stand beside desirability"),
        (DESIRABLE.replace("40 meV", "4 meV"), "objective.desirability.peak.none_beyond", "inside the tolerance"),
        (DESIRABLE.replace("80 meV", "180 meV"), "objective.desirability.fwhm.full_at", "below none_at"),
        (DESIRABLE.replace("70 %", "5 %"), "objective.desirability.yield.full_at", "above none_at"),
        (DESIRABLE.replace("enough: 0.6", "enough: 0"), "objective.desirability.enough", "out of range"),
        (DESIRABLE.replace("weight: 2", "weight: 0"), "objective.desirability.yield.weight", "above 0"),
        (
            ORDER.replace("kind: yield, patience: 2, improvement: 2 %", "kind: fwhm"),
            "objective.in_order[1].kind",
            "stands in the order already",
        ),
        (ORDER.replace(", at_most: 110 meV", ""), "objective.in_order[0]", "only the last"),
        (
            ORDER.replace("patience: 2", "at_least: 40 %, patience: 2"),
            "objective.in_order[1].improvement",
            "without at_least",
        ),
        ("  in_order: []\n", "objective.in_order", "at least 1"),
        (ORDER + "  then: [{target: 2.4 eV}]\n", "objective.in_order[1]", "with further targets"),
        (ORDER.replace("110 meV", "110 mm"), "objective.in_order[0].at_most", "energy difference"),
    ],
)
def test_an_objective_that_makes_no_sense_is_refused_where_it_stands(objective: str, path: str, words: str) -> None:
    good = small()
    text = good.campaign_text.replace(WEIGHTS, objective)
    with pytest.raises(ConfigError) as caught:
        parse_campaign(text, "c.yaml", good.rig_text, "r.yaml")
    found = {problem.path: problem.summary() for problem in caught.value.problems}
    assert words in found[path], found


@pytest.mark.parametrize(
    ("plateau", "objective", "words"),
    [
        ("{experiments: 3, improvement: 1 meV}", DESIRABLE, "told by desirability"),
        ("{experiments: 3}", DESIRABLE, "Add desirability"),
        ("{experiments: 3, desirability: 0.01}", WEIGHTS, "told by improvement"),
        ("{experiments: 3}", WEIGHTS, "Add improvement"),
        ("{experiments: 3, improvement: 1 meV}", ORDER, "its own patience"),
    ],
)
def test_a_plateau_is_told_by_what_the_objective_counts(plateau: str, objective: str, words: str) -> None:
    good = small()
    text = good.campaign_text.replace(WEIGHTS, objective) + f"  plateau: {plateau}\n"
    with pytest.raises(ConfigError, match=words) as caught:
        parse_campaign(text, "c.yaml", good.rig_text, "r.yaml")
    assert len(caught.value.problems) == 1


def test_an_output_is_predicted_once_it_was_read_twice() -> None:
    config = small().config
    assert read_outputs(config, state(read(1, 90.0, 0.5))) == frozenset()
    assert read_outputs(config, state(read(1, 90.0, 0.5), read(2, 95.0, None))) == {"peak_ev", "fwhm_ev"}


@pytest.mark.parametrize("objective", [DESIRABLE, ORDER])
def test_a_detector_that_sees_no_yield_is_not_asked_for_one(objective: str) -> None:
    text = (CONFIGS / "campaigns" / "absorption-2.40.yaml").read_text()
    start, end = text.index("  fwhm:\n    weight"), text.index("planner:")
    rig = (CONFIGS / "rigs" / "perovskite-white-light.yaml").read_text()
    with pytest.raises(ConfigError, match="sees no yield"):
        parse_campaign(f"{text[:start]}{objective}\n{text[end:]}", "c.yaml", rig, "r.yaml")
