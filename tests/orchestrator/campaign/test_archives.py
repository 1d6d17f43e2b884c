"""Earlier experiments that a campaign file names: read once, kept in the journal, told to the planner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.campaign import archives, planning
from orchestrator.campaign.deciders import LiveDecider
from orchestrator.campaign.header import Overrides, header_of, loaded_from
from orchestrator.config import LoadedCampaign, load_campaign
from orchestrator.errors import ConfigError
from orchestrator.history.fold import fold
from orchestrator.history.run_state import RunState
from orchestrator.history.summary import summary
from orchestrator.journal.journal import Journal
from orchestrator.preflight.checking import explain_file, validate_file
from orchestrator.sittings.replay import replay_run
from orchestrator.sittings.runner import RunOptions, run_campaign
from orchestrator.sittings.show import Show
from tests.orchestrator.rehearsal import rehearse, small

ROOT = Path(__file__).resolve().parents[3]
TABLE = """\
    kind: table
    file: earlier.csv
    inputs:
      iodide_fraction: {column: x_I}
      cs_to_pb: {column: ratio}
      residence_time: {column: t, unit: min}
      temperature: {column: T, unit: K}
    peak: {column: peak, unit: nm}
    peak_sd: {column: sd, unit: meV}
    fwhm: {column: width, unit: meV}
"""
ROWS = """\
x_I,ratio,t,T,peak,sd,width
0.5,1.3,1.0,393.15,551.04,2,90
0.9,1.3,2.0,393.15,,,
0.5,9.9,2.0,393.15,551.04,2,90
"""

SPREAD = (
    (0.1, 0.3, 0.5, 0.7, 0.9, 0.4),
    (1.0, 2.0, 1.5, 1.0, 2.0, 2.5),
    (373.15, 393.15, 383.15, 403.15, 378.15, 388.15),
)
"""Iodide fractions, residence times in minutes and temperatures in K."""


def campaign(folder: Path, archive: str, **changes: str) -> LoadedCampaign:
    """The quickstart with an archive of its own, in a folder of its own."""
    text = (ROOT / "configs" / "campaigns" / "quickstart.yaml").read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "campaign.yaml"
    path.write_text(f"{text}\narchives:\n  before:\n{archive}", encoding="utf-8")
    return load_campaign(path, ROOT / "configs" / "rigs" / "perovskite-bench.yaml")


def test_a_table_is_read_in_its_own_units_and_a_row_without_a_peak_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "earlier.csv").write_text(ROWS, encoding="utf-8")
    (found,) = archives.gather(campaign(tmp_path, TABLE))
    assert found["name"] == "before"
    assert found["outside"] == 1
    good, failed = found["rows"]
    assert good[:4] == pytest.approx([0.5, 1.3, 60.0, 120.0])
    assert good[4:] == [pytest.approx(2.25, abs=1e-4), pytest.approx(0.09), None, pytest.approx(0.002), False]
    assert failed[4:] == [None, None, None, None, True]


STEPPED = "range: [60 degC, 165 degC]\n    step: 25 K"
"""The uppermost step is 160 degC."""


def test_recipes_between_the_steps_are_left_out_and_counted_apart(tmp_path: Path) -> None:
    table = "x_I,ratio,t,T,peak,sd,width\n" + "".join(
        f"0.5,1.3,1.0,{temperature_c + 273.15:.2f},551,2,90\n" for temperature_c in (60, 65, 85, 150, 163, 170)
    )
    (tmp_path / "earlier.csv").write_text(table, encoding="utf-8")
    rig = (ROOT / "configs" / "rigs" / "perovskite-bench.yaml").as_posix()
    changes = {"range: [60 degC, 160 degC]": STEPPED, "../rigs/perovskite-bench.yaml": rig}
    loaded = campaign(tmp_path, TABLE, **changes)
    (found,) = archives.gather(loaded)
    assert [row[3] for row in found["rows"]] == pytest.approx([60.0, 85.0])
    assert (found["outside"], found["off_steps"]) == (1, 3)
    header = header_of(loaded, Overrides(), hardware=False, archives=[found])
    state = replace(RunState(), header=header)
    assert len(planning.request(loaded.config, loaded.rig, state).archives[0].observations) == 2
    (note,) = archives.left_out(loaded, [found])
    assert note.message == (
        "left out of its 6 experiments: 1 outside of the ranges of the inputs and 3 off the steps or values of "
        "temperature"
    )
    assert loaded.campaign_text.splitlines()[note.line - 1] == "  before:"
    assert f"note: {note.summary()}" in validate_file(loaded.campaign_path).text()


def test_an_archive_that_lies_between_the_steps_altogether_is_refused(tmp_path: Path) -> None:
    (tmp_path / "earlier.csv").write_text(ROWS, encoding="utf-8")
    loaded = campaign(tmp_path, TABLE, **{"range: [60 degC, 160 degC]": STEPPED})
    with pytest.raises(ConfigError, match=r"can be learnt from: 1 outside .* and 2 off the steps or values of temp"):
        archives.gather(loaded)


def test_the_top_of_a_range_is_inside_although_its_steps_fall_short_by_rounding(tmp_path: Path) -> None:
    (tmp_path / "earlier.csv").write_text(ROWS, encoding="utf-8")
    loaded = campaign(tmp_path, TABLE, **{"range: [0.0, 0.9]": "range: [0.6, 0.9]\n    step: 0.01"})
    assert loaded.config.inputs["iodide_fraction"].high < 0.9
    (found,) = archives.gather(loaded)
    assert [row[0] for row in found["rows"]] == [0.9]
    assert found["outside"] == 2


def test_the_journal_keeps_what_was_read_and_the_planner_is_told(tmp_path: Path) -> None:
    (tmp_path / "earlier.csv").write_text(ROWS, encoding="utf-8")
    loaded = campaign(tmp_path, TABLE)
    header = header_of(loaded, Overrides(), hardware=False, archives=archives.gather(loaded))
    (archive,) = archives.of_header(header)
    assert [o.failed for o in archive.observations] == [False, True]
    assert archive.observations[0].peak_ev == pytest.approx(2.25, abs=1e-4)
    assert len(header["archives"][0]["rows_sha256"]) == 64


def test_explain_says_what_a_campaign_learns_from_and_what_that_takes_off_its_initial_design(tmp_path: Path) -> None:
    (tmp_path / "earlier.csv").write_text(ROWS, encoding="utf-8")
    rig = (ROOT / "configs" / "rigs" / "perovskite-bench.yaml").as_posix()
    loaded = campaign(tmp_path, TABLE, **{"../rigs/perovskite-bench.yaml": rig})
    explained = explain_file(loaded.campaign_path)
    less = "after 8 experiments that spread out, less one for every recipe with a reading in the archives before"
    assert f"{less} (2 experiments), for at most 25 experiments" in explained.text()
    assert "archives.before: left out of its 3 experiments: 1 outside" in explained.text()
    assert explained.as_dict()["archives"] == {"before": 2}


@pytest.mark.parametrize(("strategy", "learns"), [("gp", True), ("ax", True), ("baybe", True), ("snobfit", False)])
def test_planners_with_a_model_and_guests_learn_from_archives(tmp_path: Path, strategy: str, learns: bool) -> None:
    (tmp_path / "earlier.csv").write_text(ROWS, encoding="utf-8")
    rig = (ROOT / "configs" / "rigs" / "perovskite-bench.yaml").as_posix()
    loaded = campaign(tmp_path, TABLE, **{"../rigs/perovskite-bench.yaml": rig})
    planner = loaded.config.planner.model_copy(update={"strategy": strategy})
    assert archives.learns_from_archives(loaded.config.model_copy(update={"planner": planner})) is learns


def test_a_strategy_that_takes_no_notice_of_archives_is_noted(tmp_path: Path) -> None:
    (tmp_path / "earlier.csv").write_text(ROWS, encoding="utf-8")
    rig = (ROOT / "configs" / "rigs" / "perovskite-bench.yaml").as_posix()
    changes = {"../rigs/perovskite-bench.yaml": rig, "strategy: ensemble": "strategy: sobol"}
    loaded = campaign(tmp_path, TABLE, **changes)
    said = "archives: the strategy 'sobol' takes no notice of archives"
    assert said in validate_file(loaded.campaign_path).text()
    explained = explain_file(loaded.campaign_path)
    assert said in explained.text()
    assert "8 experiments that spread out, for at most" in explained.text()


def test_a_table_with_two_columns_of_the_name_that_is_wanted_is_refused(tmp_path: Path) -> None:
    (tmp_path / "earlier.csv").write_text("x_I,ratio,t,T,peak,sd,peak\n0.5,1.3,1,393,551,2,651\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="2 columns are called 'peak'"):
        archives.gather(campaign(tmp_path, TABLE.partition("    fwhm:")[0]))


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (TABLE.replace("earlier.csv", "absent.csv"), "cannot be read"),
        (TABLE.replace("column: ratio", "column: raito"), "no such column"),
        (TABLE.replace("unit: min", "unit: nm"), "time"),
        (TABLE.replace("      temperature: {column: T, unit: K}\n", ""), "no column for temperature"),
        (TABLE.replace("unit: min", 'unit: ""'), "unit"),
        ("    kind: runs\n    files: [absent.sqlite]\n", "no such journal"),
    ],
)
def test_an_archive_that_cannot_be_read_is_refused_at_its_place_in_the_file(
    tmp_path: Path, archive: str, words: str
) -> None:
    (tmp_path / "earlier.csv").write_text(ROWS, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        archives.gather(campaign(tmp_path, archive))
    (problem,) = refused.value.problems
    assert words in str(refused.value)
    assert problem.line > 50


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("yield: {column: reading}", "50", "line 3, column reading: 50 is no yield"),
        ("yield: {column: reading}", "50", 'did you mean unit: "%"?'),
        ("yield: {column: reading}", "-0.2", "-0.2 is no yield"),
        ('yield: {column: reading, unit: "%"}', "150", "150 % is no yield"),
        ("fwhm: {column: reading, unit: meV}", "0", "0 meV is no fwhm"),
        ("fwhm: {column: reading, unit: eV}", "90", "90 eV is no fwhm"),
        ("peak_sd: {column: reading, unit: meV}", "-1", "-1 meV is no peak_sd"),
        ("peak: {column: reading, unit: eV}", "-2.25", "-2.25 eV is no peak"),
        ("peak: {column: reading, unit: nm}", "2.25", "2.25 nm is no peak"),
    ],
)
def test_a_reading_that_cannot_be_is_refused_with_its_line_and_column(
    tmp_path: Path, column: str, cell: str, words: str
) -> None:
    inputs = TABLE.partition("    peak:")[0]
    peak = "" if column.startswith("peak:") else "    peak: {column: peak, unit: nm}\n"
    table = f"x_I,ratio,t,T,peak,reading\n0.5,1.3,1,393.15,551,\n0.4,1.3,1,393.15,551,{cell}\n"
    (tmp_path / "earlier.csv").write_text(table, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        archives.gather(campaign(tmp_path, f"{inputs}{peak}    {column}\n"))
    assert words in str(refused.value)
    (problem,) = refused.value.problems
    assert problem.source[problem.column - 1 :].startswith("reading")


def test_a_yield_may_scatter_a_little_beyond_what_can_be(tmp_path: Path) -> None:
    table = "x_I,ratio,t,T,peak,y\n0.5,1.3,1,393.15,551,103\n0.4,1.3,1,393.15,551,-2\n"
    (tmp_path / "earlier.csv").write_text(table, encoding="utf-8")
    archive = TABLE.partition("    peak_sd:")[0] + '    yield: {column: y, unit: "%"}\n'
    (found,) = archives.gather(campaign(tmp_path, archive))
    assert [row[6] for row in found["rows"]] == pytest.approx([1.03, -0.02])


def test_a_second_campaign_learns_from_the_journal_of_the_first(tmp_path: Path) -> None:
    run = rehearse(small(3), tmp_path / "first.sqlite")
    loaded = campaign(tmp_path, "    kind: runs\n    files: [first.sqlite]\n")
    found = archives.gather(loaded)
    assert len(found[0]["rows"]) + found[0]["outside"] == len(run.state.told)
    header = header_of(loaded, Overrides(), hardware=False, archives=found)
    with Journal.open(tmp_path / "first.sqlite", readonly=True) as journal:
        state = fold(tuple(journal.events()))
    names = tuple(loaded.config.inputs)
    first = archives.of_header(header)[0].observations[0]
    assert first.x == tuple(state.told[0].recipe[name] for name in names)


def test_a_run_that_varied_something_else_is_no_archive(tmp_path: Path) -> None:
    rehearse(small(1), tmp_path / "first.sqlite")
    text = (ROOT / "configs" / "campaigns" / "blue-2.60.yaml").read_text(encoding="utf-8")
    path = tmp_path / "blue.yaml"
    path.write_text(text + "\narchives:\n  before:\n    kind: runs\n    files: [first.sqlite]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="neither chose nor fixed what chloride_fraction is"):
        archives.gather(load_campaign(path, ROOT / "configs" / "rigs" / "perovskite-bench.yaml"))


def blind(folder: Path) -> RunOptions:
    """A campaign of one experiment whose spectrum fails its gates, after an archive of six readings."""
    rows = [f"{x},1.3,{t},{k},{551.0 - 90.0 * x},2,90" for x, t, k in zip(*SPREAD, strict=True)]
    (folder / "earlier.csv").write_text("\n".join([ROWS.splitlines()[0], *rows, ""]), encoding="utf-8")
    loaded = campaign(folder, TABLE)
    text = loaded.campaign_text.replace("experiments: 25", "experiments: 1").replace("initial: 8", "initial: 1")
    loaded.campaign_path.write_text(text.replace("max_fwhm: 400 meV", "max_fwhm: 1 meV"), encoding="utf-8")
    return RunOptions(
        loaded.campaign_path, rig=loaded.rig_path, overrides=Overrides(strategy="forest"), journal=folder / "run.sqlite"
    )


def test_a_run_that_read_nothing_recommends_what_its_archives_teach(tmp_path: Path) -> None:
    run_campaign(blind(tmp_path), Show(as_json=True), ask=None)
    with Journal.open(tmp_path / "run.sqlite", readonly=True) as journal:
        state = fold(tuple(journal.events()))
    assert not any(experiment.accepted for experiment in state.experiments)
    assert state.recommendation is not None
    assert (state.recommendation.basis, state.recommendation.measured) == ("model", None)
    assert "which rests on 6 archived readings alone" in state.recommendation.reason
    assert "expected, never run" in (tmp_path / "run.html").read_text(encoding="utf-8")
    assert replay_run(tmp_path / "run.sqlite", Show(as_json=True)).same


def test_nothing_is_said_of_a_yield_that_neither_archives_nor_experiments_have_read(tmp_path: Path) -> None:
    run_campaign(blind(tmp_path), Show(as_json=True), ask=None)
    with Journal.open(tmp_path / "run.sqlite", readonly=True) as journal:
        state = fold(tuple(journal.events()))
    assert state.recommendation is not None
    for predicted in (state.recommendation.predicted, state.experiment(1).predicted):
        assert set(predicted) == {"peak_ev", "fwhm_ev"}
    found = summary(state)
    assert found["yield"] is None
    assert 50.0 < found["fwhm_mev"] < 150.0
    assert "Quantum yield" not in (tmp_path / "run.html").read_text(encoding="utf-8")


def test_a_record_from_before_archives_alone_were_enough_still_replays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(self: LiveDecider, state: RunState) -> None:
        return None

    with monkeypatch.context() as before:
        before.setattr(LiveDecider, "recommend", nothing)
        run_campaign(blind(tmp_path), Show(as_json=True), ask=None)
    assert replay_run(tmp_path / "run.sqlite", Show(as_json=True)).same


def test_a_run_says_what_it_leaves_out_of_its_archives_keeps_the_rest_and_goes_on_without_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "earlier.csv").write_text(ROWS, encoding="utf-8")
    loaded = campaign(tmp_path, TABLE)
    short = loaded.campaign_text.replace("experiments: 25", "experiments: 1").replace("initial: 8", "initial: 1")
    loaded.campaign_path.write_text(short, encoding="utf-8")
    options = RunOptions(
        loaded.campaign_path,
        rig=loaded.rig_path,
        overrides=Overrides(strategy="sobol"),
        journal=tmp_path / "run.sqlite",
        report=False,
    )
    run_campaign(options, Show(as_json=False), ask=None)
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("left out of its 3 experiments: 1 outside of the ranges") == 1
    assert said.count("the strategy 'sobol' takes no notice of archives") == 1
    (tmp_path / "earlier.csv").unlink()
    with Journal.open(tmp_path / "run.sqlite", readonly=True) as journal:
        state = fold(tuple(journal.events()))
    assert state.header["archives"][0]["outside"] == 1
    request = planning.request(loaded_from(state.header).config, loaded.rig, state)
    assert [archive.name for archive in request.archives] == ["before"]
    assert request.space.sources == 1
