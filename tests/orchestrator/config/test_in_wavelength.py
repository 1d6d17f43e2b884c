"""Tolerances and widths in nm mean the energies that they are at their targets."""

from __future__ import annotations

import pytest

from orchestrator.campaign.targets import targets_of
from orchestrator.config import CampaignConfig, parse_campaign
from orchestrator.config.in_wavelength import in_energy
from orchestrator.errors import ConfigError
from orchestrator.units import HC_EV_NM
from tests.orchestrator.rehearsal import CONFIGS

BENCH = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text()
QUICKSTART = (CONFIGS / "campaigns" / "quickstart.yaml").read_text()
WANTED = QUICKSTART[QUICKSTART.index("objective:") : QUICKSTART.index("budget:")]


def campaign(objective: str) -> CampaignConfig:
    return parse_campaign(QUICKSTART.replace(WANTED, f"objective: {objective}\n"), "c.yaml", BENCH, "r.yaml").config


def test_every_peak_within_a_tolerance_in_nm_is_within_it_in_nm_too() -> None:
    peak = campaign("{peak: {target: 551 nm, tolerance: 1 nm}}").objective.aim
    assert HC_EV_NM / (peak.target_ev - peak.tolerance_ev) == pytest.approx(552.0)
    assert 550.0 <= HC_EV_NM / (peak.target_ev + peak.tolerance_ev) < 550.01


def test_a_target_in_ev_takes_a_tolerance_in_nm_and_the_reverse() -> None:
    in_nm = campaign("{peak: {target: 2.25 eV, tolerance: 1 nm}}").objective.aim
    assert in_nm.tolerance_ev == pytest.approx(2.25 - HC_EV_NM / (HC_EV_NM / 2.25 + 1.0))
    assert campaign("{peak: {target: 551 nm, tolerance: 5 meV}}").objective.aim.tolerance_ev == 0.005


def test_further_targets_have_the_tolerance_in_nm_at_their_own_place() -> None:
    said = "{peak: {target: 600 nm, tolerance: 2 nm}, then: [{target: 520 nm}, {target: 560 nm, tolerance: 4 meV}]}"
    first, second, third = targets_of(campaign(said))
    assert HC_EV_NM / (first.target_ev - first.tolerance_ev) == pytest.approx(602.0)
    assert HC_EV_NM / (second.target_ev - second.tolerance_ev) == pytest.approx(522.0)
    assert third.tolerance_ev == 0.004


def test_widths_in_nm_are_taken_at_the_first_target() -> None:
    between_ev = HC_EV_NM / 530.0 - HC_EV_NM / 570.0
    peak = "peak: {target: 550 nm, tolerance: 1 nm}"
    assert campaign(f"{{{peak}, fwhm: {{scale: 40 nm}}}}").objective.fwhm.scale_ev == pytest.approx(between_ev)
    step = (campaign(f"{{{peak}, in_order: [{{kind: fwhm, at_most: 40 nm}}]}}").objective.in_order or ())[0]
    assert step.kind == "fwhm"
    assert step.at_most_ev == pytest.approx(between_ev)
    parts = "{peak: {none_beyond: 8 nm}, fwhm: {full_at: 20 nm, none_at: 40 nm}, enough: 0.8}"
    said = campaign(f"{{{peak}, desirability: {parts}}}").objective.desirability
    assert said is not None
    assert said.fwhm is not None
    assert said.fwhm.none_at_ev == pytest.approx(between_ev)
    assert said.peak.none_beyond_ev == pytest.approx(HC_EV_NM / 550.0 - HC_EV_NM / 558.0)


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        ("{peak: {target: 55l nm, tolerance: 1 nm}}", r"objective\.peak\.target: .*got 55l nm"),
        ("{peak: {target: 551, tolerance: 1 nm}}", r'objective\.peak\.target: .*did you mean "551 nm"'),
        ("{peak: {tolerance: 1 nm}}", r"objective\.peak\.target: the key 'target' is missing"),
        ("{peak: {target: 551 nm, tolerance: -1 nm}}", r"peak\.tolerance: out of range .got -1 nm; allowed: above 0"),
        ("{peak: {target: 551 nm, tolerance: 0 nm}}", r"peak\.tolerance: out of range .got 0 nm; allowed: above 0"),
        ("{peak: {target: 551 nm, tolerance: 1 Nm}}", r'peak\.tolerance: .*allowed: eV, meV, nm; did you mean "1 nm"'),
        ("{peak: {target: 551 nm, tolerance: 1 nm}, fwhm: {scale: 1200 nm}}", r"fwhm\.scale: out of range .got 1200"),
        (
            "{peak: {target: 551 nm, tolerance: 1 nm}, in_order: [{kind: yield, improvement: 2 nm}]}",
            r"improvement: 'nm' makes .*a fraction is wanted here .got 2 nm",
        ),
        ("{peak: {target: 551 nm, tolerance: 1 nm}, then: [2, {target: 2.2 eV}]}", r"objective\.then\[0\]"),
    ],
)  # fmt: skip
def test_what_is_wrong_beside_a_length_of_waves_is_told_once(objective: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        campaign(objective)
    assert len(caught.value.problems) == 1, caught.value


@pytest.mark.parametrize("thing", [None, 3, [], "peak", {"peak": 3}, {"peak": {}, "then": 4, "in_order": [3]}])
def test_what_is_no_objective_is_left_for_its_own_fields_to_refuse(thing: object) -> None:
    assert in_energy(thing) == thing


def test_what_a_caller_gave_is_not_changed() -> None:
    given = {"peak": {"target": "551 nm", "tolerance": "1 nm"}, "then": [{"target": "520 nm"}]}
    in_energy(given)
    assert given == {"peak": {"target": "551 nm", "tolerance": "1 nm"}, "then": [{"target": "520 nm"}]}
