"""The command line as a person and a script meet it: words, JSON, exit codes, and nothing heavy before it is needed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli.commands import app

ROOT = Path(__file__).resolve().parents[3]
QUICKSTART = ROOT / "configs" / "campaigns" / "quickstart.yaml"
KEYS = {
    "stop_reason",
    "experiments",
    "recipe",
    "peak_ev",
    "error_mev",
    "fwhm_mev",
    "yield",
    "reactor_s",
    "wall_s",
    "reagent_ul",
    "safe",
    "journal",
    "report",
    "notes",
}


def lumiflow(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    code = "from orchestrator.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=cwd, env=environment, check=False
    )


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart campaign cut to three spread-out experiments."""
    folder = tmp_path_factory.mktemp("files")
    text = QUICKSTART.read_text().replace("experiments: 25", "experiments: 3").replace("initial: 8", "initial: 3")
    text = text.replace("../rigs/perovskite-bench.yaml", str(ROOT / "configs" / "rigs" / "perovskite-bench.yaml"))
    path = folder / "short.yaml"
    path.write_text(text.replace("name: quickstart", "name: short").replace("strategy: ensemble", "strategy: sobol"))
    return path


@pytest.fixture(scope="module")
def ran(campaign: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    runs = tmp_path_factory.mktemp("runs")
    return runs, lumiflow("run", str(campaign), "--runs", str(runs), "--json")


def test_a_run_ends_with_one_line_of_json_that_has_every_key(
    ran: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    runs, done = ran
    assert done.returncode == 1, done.stderr
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert set(result) >= KEYS
    assert result["stop_reason"] == "budget_experiments"
    assert result["experiments"] == 3
    assert result["recipe"]["residence_time"]["unit"] == "s"
    assert set(result["reagent_ul"]) == {"caesium_oleate", "lead_bromide", "zinc_iodide", "toluene"}
    assert Path(result["journal"]) == runs / "short-0001.sqlite"
    assert Path(result["report"]).read_text().lstrip().lower().startswith("<!doctype html>")


def test_the_journal_of_a_finished_run_replays_to_the_same(
    ran: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    done = lumiflow("replay", str(ran[0] / "short-0001.sqlite"), "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["same"] is True
    assert result["events"] == result["recorded"] > 20
    assert [decision["agrees"] for decision in result["decisions"]] == [True] * 4


def test_status_and_report_read_the_journal_alone(
    ran: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    journal = ran[0] / "short-0001.sqlite"
    status = json.loads(lumiflow("status", str(journal), "--json").stdout)
    assert (status["ended"], status["experiments"], status["in_doubt"]) == (True, 3, None)
    page = tmp_path / "page.html"
    done = lumiflow("report", str(journal), "--out", str(page), "--json")
    assert json.loads(done.stdout) == {"report": str(page)}
    assert page.stat().st_size > 20_000


def test_a_report_is_written_over_no_journal(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    journal = ran[0] / "short-0001.sqlite"
    before = journal.read_bytes()
    for words in (["--out", str(journal)], ["--out", str(journal), "--json"]):
        done = CliRunner().invoke(app, ["report", str(journal), *words])
        assert done.exit_code == 2
        assert f"{journal} is a journal, and a journal is never overwritten" in done.stderr
    assert journal.read_bytes() == before


def test_a_finished_run_is_not_resumed_and_a_new_one_gets_its_own_journal(
    campaign: Path, ran: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    done = lumiflow("run", str(campaign), "--runs", str(ran[0]), "--resume")
    assert done.returncode == 2
    assert "nothing to resume" in done.stderr


def test_a_run_says_its_result_also_where_its_report_cannot_be_written(campaign: Path, tmp_path: Path) -> None:
    (tmp_path / "short-0001.html").mkdir()
    done = lumiflow("run", str(campaign), "--runs", str(tmp_path), "--json")
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert (result["report"], result["experiments"]) == (None, 3)
    assert f"there is no report: {tmp_path / 'short-0001.html'}: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "short-0001.html.new").exists()


@pytest.mark.parametrize("name", ["own.html", "own.HTML"])
def test_a_journal_does_not_take_the_name_of_its_report(campaign: Path, tmp_path: Path, name: str) -> None:
    done = CliRunner().invoke(app, ["run", str(campaign), "--journal", str(tmp_path / name)])
    assert done.exit_code == 2
    assert f"--journal {tmp_path / name}: the report would have this name" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "missing.yaml"], "missing.yaml"),
        (["run", str(QUICKSTART), "--target", "2.25"], "--target"),
        (["run", str(QUICKSTART), "--target", "2.25 kPa"], "--target"),
        (["run", str(QUICKSTART), "--target", "0.5 eV"], '"0.5 eV": a target at 2480 nm lies outside'),
        (["run", str(QUICKSTART), "--seed", "2147483648"], "--seed 2147483648: from 0 to 2147483647"),
        (["run", str(QUICKSTART), "--strategy", "ensemle"], "--strategy"),
        (["run", str(QUICKSTART), "--speed", "-1"], "--speed"),
        (["replay", "any.sqlite", "--speed", "inf"], "--speed inf"),
        (["run", str(QUICKSTART), "--resume", "--fresh"], "contradict"),
        (["run", str(QUICKSTART), "--hardware", "--speed", "2"], "--speed"),
        (["validate", str(ROOT / "README.md")], "README.md"),
        (["replay", str(ROOT / "README.md")], "README.md"),
        (["status", "missing.sqlite"], "missing.sqlite"),
        (["report", str(ROOT / "README.md"), "--out", str(ROOT / "never-written.html")], "README.md"),
        (["schema", "riig"], "riig"),
    ],
)
def test_what_makes_no_sense_is_refused_with_exit_code_2_and_no_traceback(words: list[str], said: str) -> None:
    done = lumiflow(*words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    refused = CliRunner().invoke(app, [*words, "--json"])
    assert refused.exit_code == 2
    assert json.loads(refused.stdout)["error"]["message"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", str(QUICKSTART), "--speed", "inf"], "--speed inf"),
        (["run", str(QUICKSTART), "--runs", "{}/file"], "no folder for the journal can be made: {}/file"),
        (["run", str(QUICKSTART), "--journal", "{}/file/j.sqlite"], "no folder for the journal can be made: {}/file"),
        (["report", "{}/j.sqlite", "--out", "{}/none/j.html"], "{}/none/j.html: the report cannot be written there"),
        (["report", "{}/j.sqlite", "--out", "{}/folder"], "{}/folder: the report cannot be written there"),
        (["twin", "serve", "{}/rig.yaml", "--write-rig", "{}/none/r.yaml"], "--write-rig cannot be written: {}/none/r"),
        (["twin", "serve", "{}/rig.yaml", "--state", "{}/folder"], "--state cannot be written: {}/folder"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="other words of the operating system")
def test_what_cannot_be_written_is_refused_in_a_sentence(
    tmp_path: Path, ran: tuple[Path, subprocess.CompletedProcess[str]], words: list[str], said: str
) -> None:
    shutil.copy(ran[0] / "short-0001.sqlite", tmp_path / "j.sqlite")
    shutil.copy(ROOT / "configs" / "rigs" / "perovskite-bench.yaml", tmp_path / "rig.yaml")
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.iterdir())
    refused = CliRunner().invoke(app, [word.format(tmp_path) for word in words])
    assert refused.exit_code == 2, refused.output
    assert f"lumiflow: {said.format(tmp_path)}" in refused.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(sys.platform == "win32", reason="other words of the operating system")
def test_what_the_operating_system_refuses_elsewhere_is_a_sentence_too() -> None:
    done = lumiflow("status", "n" * 300, "--json")
    assert done.returncode == 3
    assert done.stderr == f"lumiflow: {'n' * 300}: File name too long\n"
    assert json.loads(done.stdout)["error"]["message"].endswith("File name too long")


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*/*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_file_validates(path: Path) -> None:
    done = CliRunner().invoke(app, ["validate", str(path), "--json"])
    assert done.exit_code == 0, done.stdout
    assert json.loads(done.stdout)["ok"] is True


def test_explain_says_what_a_campaign_would_cost() -> None:
    done = lumiflow("explain", str(QUICKSTART))
    assert done.returncode == 0
    for word in ("2.25 eV", "zinc_iodide", "heaters_off", "h of reactor time"):
        assert word in done.stdout


@pytest.mark.parametrize("command", ["validate", "explain"])
def test_a_campaign_with_an_archive_that_is_not_there_is_refused(campaign: Path, tmp_path: Path, command: str) -> None:
    path = tmp_path / "archived.yaml"
    path.write_text(f"{campaign.read_text()}\narchives:\n  before:\n    kind: runs\n    files: [gone.sqlite]\n")
    done = CliRunner().invoke(app, [command, str(path)])
    assert done.exit_code == 2
    assert "gone.sqlite" in done.stderr


def test_words_are_said_in_the_signs_that_the_output_has() -> None:
    words = [sys.executable, "-c", "from orchestrator.cli import main; main()", "explain", str(QUICKSTART)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "iso8859-7"}
    done = subprocess.run(words, capture_output=True, env=environment, check=True)
    assert "temperature limited to 20 to 180 °C" in done.stdout.decode("iso8859-7")
    assert "to 381 uL/min" in done.stdout.decode("iso8859-7")


def test_a_daemons_file_is_called_that(tmp_path: Path) -> None:
    (tmp_path / "daemon.yaml").write_text("kind: daemon\nrigs: {}\n")
    for command, said in (("validate", "this is a daemon's file"), ("run", "this is a daemon file, and a campaign")):
        done = CliRunner().invoke(app, [command, str(tmp_path / "daemon.yaml")])
        assert done.exit_code == 2
        assert said in done.stderr and "missing" not in done.stderr


def test_nothing_is_left_beside_a_file_that_recover_finds_no_journal_in(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no journal")
    done = CliRunner().invoke(app, ["recover", str(tmp_path / "notes.txt")])
    assert done.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_make_safe_says_that_a_daemon_of_twins_has_nothing_to_make_safe(tmp_path: Path) -> None:
    rig = ROOT / "configs" / "rigs" / "perovskite-bench.yaml"
    (tmp_path / "daemon.yaml").write_text(f"kind: daemon\nrigs:\n  bench: {{file: {rig}}}\nruns: runs\n")
    done = CliRunner().invoke(app, ["make-safe", str(tmp_path / "daemon.yaml")])
    assert done.exit_code == 0
    assert "no rig runs on hardware" in done.stdout


@pytest.mark.parametrize("kind", ["campaign", "rig", "pool"])
def test_the_schemas_are_json_and_what_stands_in_the_folder_of_schemas(kind: str) -> None:
    assert json.loads(lumiflow("schema", kind, "--json").stdout)["$schema"].startswith("https://json-schema.org/")
    shipped = (ROOT / "configs" / "schema" / f"{kind}.schema.json").read_bytes()
    code = "from orchestrator.cli import main; main()"
    for encoding in ("utf-8", "ascii"):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding}
        words = [sys.executable, "-c", code, "schema", kind]
        assert subprocess.run(words, capture_output=True, env=environment, check=True).stdout == shipped


def test_a_name_that_the_terminal_cannot_write_does_not_lose_what_was_found(pool_files: tuple[Path, Path]) -> None:
    data, spec = pool_files
    spec.write_text(spec.read_text().replace("Made-up", "\N{RIGHTWARDS ARROW}"), encoding="utf-8")
    code = "from orchestrator.cli import main; main()"
    words = [sys.executable, "-c", code, "pool", str(data), "--spec", str(spec), "--arms", "random", "--seeds", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "latin-1"}
    words += ["--results", str(data.parent / "r.jsonl")]
    done = subprocess.run(words, capture_output=True, env=environment, check=True)
    assert done.stdout.startswith(b"-> couplings: 31 conditions")


@pytest.mark.parametrize("words", [["--help"], ["validate", str(QUICKSTART)], ["run", "--help"]])
def test_nothing_heavy_is_imported_to_help_or_to_validate(words: list[str]) -> None:
    code = (
        "import sys, atexit\n"
        "heavy = ('torch', 'botorch', 'scipy', 'pymodbus', 'seabreeze', 'plotly', 'jinja2', 'matplotlib', 'pint')\n"
        "atexit.register(lambda: print('HEAVY', [name for name in heavy if name in sys.modules]))\n"
        "from orchestrator.cli import main\n"
        "main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_run_whose_output_nobody_can_take_ends_as_it_would_have(
    campaign: Path, tmp_path: Path, more: list[str]
) -> None:
    code = "from orchestrator.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = ["run", str(campaign), "--runs", str(tmp_path), "--no-report", *more]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            check=False,
        )
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "No space left" in done.stderr
    status = json.loads(lumiflow("status", str(tmp_path / "short-0001.sqlite"), "--json").stdout)
    assert (status["ended"], status["experiments"]) == (True, 3)


def start(campaign: Path, runs: Path) -> subprocess.Popen[str]:
    """A run paced so that it is still going when it is spoken to."""
    code = "from orchestrator.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = ["run", str(campaign), "--runs", str(runs), "--speed", "200", "--json", "--no-report"]
    running = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    journal = runs / "short-0001.sqlite"
    for _ in range(2400):  # two minutes of a very busy machine
        if journal.exists() and _dosing(journal):
            return running
        if running.poll() is not None:
            break
        time.sleep(0.05)  # a wall-clock wait for another process, which has no loop of ours
    running.kill()
    raise AssertionError(f"the run never began: {running.communicate()}")


def _dosing(journal: Path) -> bool:
    import sqlite3

    try:
        with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as connection:
            row = connection.execute("SELECT count(*) FROM events WHERE kind = 'dosing'").fetchone()
    except sqlite3.Error:
        return False
    return bool(row[0])


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX")
@pytest.mark.parametrize("kind", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ctrl_c_a_polite_kill_and_a_closed_terminal_end_a_run_safely_as_the_operators_wish(
    campaign: Path, tmp_path: Path, kind: str
) -> None:
    running = start(campaign, tmp_path)
    running.send_signal(signal.Signals[kind])
    out, err = running.communicate(timeout=120)
    assert running.returncode == 1, err
    result = json.loads(out)
    assert result["stop_reason"] == "operator"
    status = json.loads(lumiflow("status", result["journal"], "--json").stdout)
    assert status["ended"] is True


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX")
def test_an_interrupted_run_asks_for_resume_or_fresh_and_resumes(campaign: Path, tmp_path: Path) -> None:
    running = start(campaign, tmp_path)
    busy = lumiflow("run", str(campaign), "--runs", str(tmp_path), "--resume")
    assert busy.returncode == 2
    assert "another process" in busy.stderr
    running.kill()
    running.communicate()
    undecided = lumiflow("run", str(campaign), "--runs", str(tmp_path), "--json")
    assert undecided.returncode == 2
    assert "--resume" in undecided.stderr and "--fresh" in undecided.stderr
    named = ["run", str(campaign), "--journal", str(tmp_path / "short-0001.sqlite")]
    for words in (named, [*named, "--fresh"]):
        advised = CliRunner().invoke(app, [*words, "--json"])
        assert advised.exit_code == 2
        assert "--resume" in advised.stderr and "nother" in advised.stderr
        assert ("--fresh" in advised.stderr) is ("--fresh" in words)
    other = lumiflow("run", str(campaign), "--runs", str(tmp_path), "--resume", "--seed", "9")
    assert other.returncode == 2
    resumed = json.loads(lumiflow("run", str(campaign), "--runs", str(tmp_path), "--resume", "--json").stdout)
    assert resumed["experiments"] == 3
    assert Path(resumed["journal"]).name == "short-0001.sqlite"
