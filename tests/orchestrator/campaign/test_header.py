"""What the command line says instead of the file: held to what the file is held to, but for a run that has begun."""

from __future__ import annotations

import re

import pytest

from orchestrator.campaign.header import Overrides, header_of, loaded_from
from orchestrator.errors import UsageRefused
from orchestrator.preflight.findings import preflight
from tests.orchestrator.rehearsal import small

OUTSIDE = [
    (Overrides(target="0.5 eV"), '--target "0.5 eV": a target at 2480 nm lies outside the detector\'s emission window'),
    (Overrides(target="2480 nm"), "(allowed: 1.5499 eV to 2.9661 eV, or 418 nm to 800 nm)"),
    (Overrides(seed=2**31), "--seed 2147483648: from 0 to 2147483647"),
]


@pytest.mark.parametrize(("overrides", "said"), OUTSIDE)
def test_what_the_file_could_not_say_is_refused(overrides: Overrides, said: str) -> None:
    with pytest.raises(UsageRefused) as refused:
        overrides.applied(small())
    assert said in str(refused.value)


@pytest.mark.parametrize("target", ["418 nm", "800 nm", "1.5499 eV", "2.9661 eV"])
def test_the_ends_of_the_detectors_window_are_targets_too(target: str) -> None:
    assert Overrides(target=target).applied(small()).config.objective.peak is not None


@pytest.mark.parametrize("overrides", [overrides for overrides, _ in OUTSIDE])
def test_a_run_that_has_begun_with_it_is_read_all_the_same(overrides: Overrides) -> None:
    loaded = small(strategy="ensemble")
    header = header_of(overrides.repeated(loaded), overrides, hardware=False)
    config = loaded_from(header).config
    assert (config.objective.aim.target_ev, config.seed) == (header["target_ev"], header["seed"])


@pytest.fixture
def guestless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer without the packages of other projects' strategies."""
    monkeypatch.setattr("planners.guests.importlib.util.find_spec", lambda name: None)


@pytest.mark.usefixtures("guestless")
def test_a_strategy_whose_package_is_not_installed_is_refused_and_its_runs_are_read() -> None:
    overrides, loaded = Overrides(strategy="baybe"), small(strategy="ensemble")
    with pytest.raises(UsageRefused, match=re.escape("pip install 'lumiflow[baybe]'")):
        overrides.applied(loaded)
    header = header_of(overrides.repeated(loaded), overrides, hardware=False)
    assert loaded_from(header).config.planner.strategy == "baybe"


@pytest.mark.usefixtures("guestless")
def test_a_file_whose_strategy_is_not_installed_cannot_run_as_it_stands() -> None:
    (problem,) = preflight(small(3, "baybe", **{"strategy: ensemble #": "strategy: baybe #"})).problems
    assert (problem.path, problem.offending) == ("planner.strategy", "baybe")
    assert "not installed: pip install 'lumiflow[baybe]'" in problem.message
    assert problem.source.strip().startswith("strategy: baybe")


def test_the_last_seed_of_the_file_is_taken() -> None:
    assert Overrides(seed=2**31 - 1).applied(small()).config.seed == 2**31 - 1
