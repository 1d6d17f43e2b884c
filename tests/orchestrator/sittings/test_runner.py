"""`lumiflow run` from within: which files a run is kept in, which journal it takes up, how it goes on with a run that
somebody ended."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from orchestrator.campaign.campaign import Campaign
from orchestrator.clock.virtual_time import UtcClock, VirtualTimeLoop
from orchestrator.errors import PreflightError, UsageRefused
from orchestrator.journal.journal import Event, Journal
from orchestrator.preflight.findings import PreflightReport
from orchestrator.sittings.runner import RunOptions, RunResult, run_campaign, stem_of
from orchestrator.sittings.show import Show
from orchestrator.sittings.sitting import Company, Sitting
from tests.orchestrator.rehearsal import CONFIGS


class Killed(BaseException):
    """The program dies here."""


class Watcher(Show):
    """A silent display that does something once, at the first event of a kind and number."""

    def __init__(self, kind: str = "", n: int | None = None, act: Callable[[], None] | None = None) -> None:
        super().__init__(as_json=True)
        self._at, self._act = (kind, n), act

    def event(self, event: Event) -> None:
        if self._act is not None and (event.kind, event.data.get("n")) == self._at:
            act, self._act = self._act, None
            act()


def interrupt() -> None:
    """Ctrl-C, in the middle of what has just begun."""
    asyncio.get_running_loop().call_later(100.0, signal.raise_signal, signal.SIGINT)


def die() -> None:
    raise Killed


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """The quickstart campaign cut to two spread-out experiments."""
    text = (CONFIGS / "campaigns" / "quickstart.yaml").read_text()
    for old, new in {
        "experiments: 25": "experiments: 2",
        "initial: 8": "initial: 2",
        "strategy: ensemble": "strategy: sobol",
        "../rigs/": f"{CONFIGS / 'rigs'}/",
    }.items():
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "campaign.yaml"
    path.write_text(text)
    return path


def run(campaign: Path, watcher: Show, *, resume: bool = False, speed: float | None = None) -> RunResult:
    journal = campaign.parent / "run.sqlite"
    options = RunOptions(campaign, journal=journal, resume=True if resume else None, report=False, speed=speed)
    return run_campaign(options, watcher, ask=None)


def kinds(result: RunResult) -> list[str]:
    with Journal.open(result.journal, readonly=True) as journal:
        return [event.kind for event in journal.events()]


def test_a_run_on_twins_that_its_operator_ended_goes_on_to_its_budget_when_it_is_resumed(campaign: Path) -> None:
    ended = run(campaign, Watcher("dosing", 2, interrupt))
    assert (ended.state.stop_reason, len(ended.state.told)) == ("operator", 1)
    resumed = run(campaign, Watcher(), resume=True)
    assert (resumed.state.stop_reason, len(resumed.state.told)) == ("budget_experiments", 2)
    assert kinds(resumed).count("resumed") == 1


def test_a_resumed_run_on_twins_that_was_killed_does_not_end_where_its_operator_once_ended_it(campaign: Path) -> None:
    run(campaign, Watcher("dosing", 2, interrupt))
    with pytest.raises(Killed):
        run(campaign, Watcher("settled", 2, die), resume=True)
    again = run(campaign, Watcher(), resume=True)
    assert (again.state.stop_reason, len(again.state.told)) == ("budget_experiments", 2)
    assert kinds(again).count("resumed") == 2


def test_twins_live_through_their_record_at_once_and_keep_their_pace_from_its_end_on(campaign: Path) -> None:
    paces: list[tuple[str, float | None]] = []

    class Pacer(Show):
        def event(self, event: Event) -> None:
            loop = cast("VirtualTimeLoop", asyncio.get_running_loop())
            paces.append((event.kind, loop.speed))

    with pytest.raises(Killed):
        run(campaign, Watcher("settled", 1, die))
    run(campaign, Pacer(as_json=True), resume=True, speed=1e6)
    at = [kind for kind, _ in paces].index("settled")
    assert [pace for _, pace in paces[:at]] == [None] * at
    assert {pace for _, pace in paces[at:]} == {1e6}


def test_a_run_that_has_begun_is_not_refused_by_a_forecast_of_its_reagent(
    campaign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text()
    (campaign.parent / "rig.yaml").write_text(
        rig.replace("volume: 100 ml, diameter: 38.4 mm", "volume: 7.5 ml, diameter: 14 mm")
    )
    campaign.write_text(campaign.read_text().replace(f"{CONFIGS / 'rigs'}/perovskite-bench.yaml", "rig.yaml"))
    with pytest.raises(PreflightError, match="last for about 1 experiment at the most"):
        run(campaign, Watcher())
    with monkeypatch.context() as before:  # a version that foretold something else
        before.setattr(PreflightReport, "require", lambda *_, **__: None)
        with pytest.raises(Killed):
            run(campaign, Watcher("dosing", 1, die))
    ended = run(campaign, Watcher(), resume=True)
    assert (ended.state.stop_reason, len(ended.state.told)) == ("reagent", 1)
    (note,) = (note for note in ended.notes if "last for about 1 experiment" in note)
    assert note.endswith("the run has begun, and goes on with what is left")


def test_a_run_of_which_nothing_is_recorded_has_not_begun_and_is_refused(campaign: Path) -> None:
    campaign.write_text(
        campaign.read_text().replace("reactor_time: 24 h", "reactor_time: 24 h\n  reagent: {cs: 60 ml}")
    )
    with contextlib.closing(VirtualTimeLoop()) as loop:
        Journal.create(campaign.parent / "run.sqlite", UtcClock(loop)).close()
    with pytest.raises(PreflightError, match="more than the syringe of 'cs' holds"):
        run(campaign, Watcher(), resume=True)


def test_a_journal_of_another_campaign_is_not_taken_up(campaign: Path) -> None:
    with pytest.raises(Killed):
        run(campaign, Watcher("dosing", 1, die))
    campaign.write_text(campaign.read_text().replace("name: quickstart", "name: another"))
    with pytest.raises(UsageRefused, match="holds a run of 'quickstart', and not of 'another'"):
        run(campaign, Watcher(), resume=True)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_resumed_run_notes_that_the_files_have_changed_since_it_began(
    campaign: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    run(campaign, Watcher("dosing", 2, interrupt))
    campaign.write_text(f"{campaign.read_text()}# a comment of today\n")
    capsys.readouterr()
    show = Show(as_json=as_json)
    result = run(campaign, show, resume=True)
    show.finished(result)
    out = capsys.readouterr().out
    changed = "the files have changed since; the run goes on with what they said when it began"
    assert result.notes[0] == changed
    if as_json:
        (line,) = out.splitlines()
        assert json.loads(line)["notes"] == list(result.notes)
    else:
        assert f"note: {changed}" in " ".join(out.split())


def test_the_notes_of_validation_are_in_the_line_of_json_too(campaign: Path) -> None:
    text = campaign.read_text()
    campaign.write_text(f"{text}constraints:\n  - residence_time <= 9 h\n")
    needless, unreachable = run(campaign, Watcher()).as_dict()["notes"]
    assert "2.5% of the space cannot be set" in unreachable
    assert "residence_time <= 9 h" in needless


def test_what_can_be_resumed_behind_a_finished_run_is_named(campaign: Path) -> None:
    runs = campaign.parent / "runs"

    def sitting(watcher: Show, *, resume: bool | None = None) -> RunResult:
        return run_campaign(RunOptions(campaign, runs=runs, report=False, resume=resume), watcher, ask=None)

    sitting(Watcher("dosing", 2, interrupt))
    sitting(Watcher())
    first, second = (runs / f"quickstart-000{number}.sqlite" for number in (1, 2))
    with pytest.raises(UsageRefused) as refused:
        sitting(Watcher(), resume=True)
    ended = f"there is nothing to resume: {second} has reached its end"
    advice = f"; {first} was ended by its operator: go on with that one by --resume --journal {first}"
    assert str(refused.value) == ended + advice
    run_campaign(RunOptions(campaign, journal=first, resume=True, report=False), Watcher(), ask=None)
    with pytest.raises(UsageRefused) as refused:
        sitting(Watcher(), resume=True)
    assert str(refused.value) == ended


def test_a_resumed_run_shows_its_readings_against_its_target_and_with_their_recipes(
    campaign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(campaign, Watcher("dosing", 1, interrupt))
    capsys.readouterr()
    again = run(campaign, Show(as_json=False), resume=True).state.experiment(1)
    said = " ".join(capsys.readouterr().out.split())
    assert "quickstart: 2.25 eV ± 5 meV" in said
    assert "goes on; experiments done so far: 0" in said
    assert again.peak_ev is not None
    assert f"initial {again.peak_ev:.4f} eV {1000 * (again.peak_ev - 2.25):+.1f} meV" in said
    assert f"temperature {again.recipe['temperature']:.4g} °C" in said


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("green at 2.25 eV", "green-at-2.25-eV"),
        ("../..", "campaign"),
        ("ä" * 150, "ä" * 100),
        ("a" + "ä" * 150, "a" + "ä" * 99),
        ("x" * 199 + "/" + "x", "x" * 199),
    ],
)
def test_a_runs_files_are_called_by_the_campaigns_name_as_far_as_file_systems_allow(name: str, stem: str) -> None:
    assert stem_of(name) == stem
    assert len(f"{stem_of(name)}-0001.sqlite.recovered-journal".encode()) <= 255


class Gone(io.StringIO):
    """Standard output whose reader has left."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_display_that_nobody_reads_any_more_ends_no_run(
    campaign: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    monkeypatch.setattr("sys.stdout", Gone())
    show = Show(as_json=as_json)
    result = run(campaign, show)
    show.finished(result)
    assert (result.state.stop_reason, len(result.state.told)) == ("budget_experiments", 2)
    assert kinds(result)[-1] == "ended"
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_display_with_a_defect_is_logged_once_and_ends_no_run(
    campaign: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Defective(Show):
        def event(self, event: Event) -> None:
            raise KeyError(event.kind)

    result = run(campaign, Defective(as_json=True))
    assert kinds(result)[-1] == "ended"
    (record,) = [record for record in caplog.records if record.name == "lumiflow.run"]
    assert "event 1 (run_started)" in record.getMessage()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX")
@pytest.mark.parametrize("hardware", [False, True])
def test_ctrl_z_stops_a_run_on_twins_as_it_stops_any_program_and_none_on_hardware(
    campaign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hardware: bool
) -> None:
    stops: list[bool] = []

    async def sit(sitting: Sitting, company: Company) -> None:
        assert company.operator is not None
        with company.operator(cast("Campaign", SimpleNamespace(interrupt=None))):
            stops.append(signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL)
        raise Killed

    monkeypatch.setattr("orchestrator.sittings.runner.sit", sit)
    before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        with pytest.raises(Killed):
            run_campaign(RunOptions(campaign, hardware=hardware, runs=tmp_path), Watcher(), None)
    finally:
        signal.signal(signal.SIGTSTP, before)
    assert stops == [not hardware]
