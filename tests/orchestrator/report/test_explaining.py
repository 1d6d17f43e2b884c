"""What a run teaches of its inputs is said in its report and by `lumiflow explain`, from its journal alone."""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.campaign.header import Overrides, header_of
from orchestrator.cli.commands import app
from orchestrator.clock.virtual_time import UtcClock, run_virtual
from orchestrator.history.fold import fold
from orchestrator.history.run_state import RunState
from orchestrator.journal.journal import Journal
from orchestrator.report import render_report
from orchestrator.report.explaining import explain_journal, explain_run
from orchestrator.report.said import finding_sentences, fitted_to
from tests.orchestrator.journals import Run
from tests.orchestrator.rehearsal import small
from tests.orchestrator.report.test_report import Outline, drawings

QUICK = {"strategy: ensemble # or": "settings: {members: 32, hidden: 64}\n  strategy: ensemble # or"}
INPUTS = ["iodide_fraction", "cs_to_pb", "residence_time", "temperature"]


def taught(path: Path, experiments: int = 14, *, header: Mapping[str, Any] | None = None) -> Path:
    """A run whose peak depends on the iodide alone, all of it at one residence time; the third experiment is dark."""
    chance = random.Random(5)

    async def main() -> None:
        with Journal.create(path, UtcClock(asyncio.get_running_loop())) as journal:
            told = header or header_of(small(3, "sobol", **QUICK), Overrides(), hardware=False)
            run = Run(journal, header=told)
            await run.begin()
            for n in range(1, experiments + 1):
                recipe = {
                    "iodide_fraction": 0.9 * (n * 0.618 % 1.0),
                    "cs_to_pb": 0.4 * math.exp(1.83 * (n * 0.414 % 1.0)),
                    "residence_time": 95.0,
                    "temperature": 60.0 + 100.0 * (n * 0.732 % 1.0),
                }
                peak = 2.5 - 0.6 * recipe["iodide_fraction"] + chance.gauss(0.0, 0.0005)
                await run.experiment(n, None if n == 3 else peak, recipe=recipe)

    run_virtual(main())
    return path


def state_of(path: Path) -> RunState:
    with Journal.open(path, readonly=True) as journal:
        return fold(journal.events())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return taught(tmp_path_factory.mktemp("explained") / "run.sqlite")


@pytest.fixture(scope="module")
def explained(run: Path) -> Mapping[str, Any]:
    return explain_run(state_of(run))


@pytest.fixture(scope="module")
def page(run: Path, explained: Mapping[str, Any]) -> str:
    return render_report(run, explained)


def test_the_report_says_what_matters_and_what_the_data_cannot_tell(page: str) -> None:
    text = Outline(page).text
    assert "What matters, and what the data cannot tell" in text
    assert "The ensemble of 32 networks, fitted to 13 recipes that gave a reading" in text
    assert re.search(r"Iodide fraction matters for the peak: from 0 to 0\.9 it falls by 0\.5\d* eV \(90 %: ", text)
    assert (
        "The data cannot tell whether residence time matters for the peak: it was 95 s in every recipe that gave a "
        "reading."
    ) in text


def test_what_matters_by_archives_alone_is_told_with_what_this_run_tried(explained: Mapping[str, Any]) -> None:
    assert fitted_to(explained) == "13 recipes that gave a reading"
    assert fitted_to({**explained, "archived": 9}) == "13 recipes that gave a reading and to 9 experiments of archives"

    def matters(low: float, high: float, share: float) -> str:
        inputs = [
            {**entry, "tried": (low, high), "share": share} if entry["name"] == "iodide_fraction" else entry
            for entry in explained["inputs"]
        ]
        said = finding_sentences({**explained, "inputs": inputs})["peak"]
        (found,) = (sentence for sentence in said if sentence.startswith("Iodide fraction matters"))
        return found

    assert "In this run" not in matters(0.1, 0.9, 0.9)
    assert matters(0.2, 0.25, 0.05).endswith("In this run it was varied only between 0.2 and 0.25.")
    assert matters(0.2, 0.2, 0.0).endswith("In this run it was 0.2 throughout.")


def test_a_yield_that_absorption_cannot_have_is_not_said_to_be_unread(run: Path, explained: Mapping[str, Any]) -> None:
    assert "quantum_yield" in explained["outputs"]
    state = state_of(run)
    dark = replace(state, experiments=tuple(replace(e, quantum_yield=None) for e in state.experiments))
    assert explain_run(dark)["unread"] == ("quantum_yield",)
    assert explain_run(replace(dark, header={**state.header, "spectra": "absorption"}))["unread"] == ()


def test_every_output_has_bars_and_a_panel_for_each_input(page: str) -> None:
    titles = [str(drawing.get("aria-label")) for drawing in drawings(page)]
    for output in ("peak", "line width", "relative yield"):
        at = titles.index(f"Sensitivity of the {output}")
        assert titles[at + 1 : at + 5] == [f"{output} along {name.replace('_', ' ')}" for name in INPUTS]


def test_no_figure_holds_what_is_no_number_or_lies_outside_of_it(page: str) -> None:
    for drawing in drawings(page):
        width, height = (float(value) for value in str(drawing.get("viewBox")).split()[2:])
        for mark in drawing.iter():
            for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height"):
                if mark.get(name) is not None:
                    assert -1.0 <= float(str(mark.get(name))) <= max(width, height)
            for pair in re.findall(r"(\S+),(\S+)", mark.get("d", "")):
                assert all(math.isfinite(float(value.strip("MLlzZ"))) for value in pair)


def test_the_parts_of_an_output_are_shares_of_its_variance(explained: Mapping[str, Any]) -> None:
    peak = {effect["input"]: effect for effect in explained["effects"] if effect["output"] == "peak_ev"}
    assert peak["iodide_fraction"]["finding"] == "shown"
    assert peak["residence_time"]["finding"] == "unknown"
    for effect in peak.values():
        assert 0.0 <= effect["total"]["low"] <= effect["total"]["middle"] <= effect["total"]["high"] <= 1.0


def test_one_journal_has_one_explanation(run: Path, explained: Mapping[str, Any]) -> None:
    assert explain_journal(run).data == explained


def test_explain_tells_a_journal_from_a_campaign(run: Path) -> None:
    said = CliRunner().invoke(app, ["explain", str(run)])
    assert said.exit_code == 0
    assert "quickstart: The ensemble of 32 networks, fitted to 13 recipes that gave a reading, says:" in said.stdout
    assert "  The data cannot tell whether residence time matters for the peak: it was 95 s" in said.stdout
    data = json.loads(CliRunner().invoke(app, ["explain", str(run), "--json"]).stdout)
    assert data["journal"] == str(run)
    assert [each["name"] for each in data["inputs"]] == INPUTS
    assert len(data["effects"]) == 12


def test_too_few_experiments_are_said_to_be_too_few(tmp_path: Path) -> None:
    path = taught(tmp_path / "run.sqlite", 5)
    sentence = "4 different recipes gave a reading, and 4 inputs ask for at least 5."
    assert sentence in Outline(render_report(path)).text
    said = CliRunner().invoke(app, ["explain", str(path)])
    assert said.exit_code == 0 and sentence in said.stdout


def test_a_run_without_a_reading_has_nothing_to_explain() -> None:
    assert explain_run(RunState()) == {"cannot": "no experiment gave a reading."}


def test_a_configuration_that_nobody_understands_is_named_and_the_report_is_written(run: Path) -> None:
    state = state_of(run)
    strange = replace(state, header={**state.header, "campaign_text": "kind: campaign\nname: [\n"})
    assert "the configuration in the journal is not understood" in explain_run(strange)["cannot"]
    assert "the configuration in the journal is not understood" in explain_run(replace(state, header={}))["cannot"]


def test_without_torch_the_report_says_so(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "planners.heavy", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    text = Outline(render_report(run)).text
    assert "Which inputs matter cannot be told: the ensemble needs a package that is not installed here" in text
