"""The daemon as a process, spoken to by the command line: what signals do, and what is written where."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.orchestrator.daemon.desk import campaign_text, daemon_file

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 120.0
ARCHIVE = """
archives:
  notebook:
    kind: table
    file: earlier.csv
    inputs:
      iodide_fraction: {column: x}
      cs_to_pb: {column: ratio}
      residence_time: {column: t, unit: s}
      temperature: {column: T, unit: degC}
    peak: {column: peak, unit: nm}
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


class Process:
    """One life of ``lumiflow serve`` and its log."""

    def __init__(self, file: Path) -> None:
        self.file = file
        words = [sys.executable, "-m", "orchestrator.daemon", str(file)]
        self.process = subprocess.Popen(words, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True)
        self.log: list[dict[str, Any]] = []

    def until(self, words: str) -> dict[str, Any]:
        """Read the log up to an entry with these words."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(json.loads(line))
            if words in self.log[-1]["message"]:
                return self.log[-1]
        raise AssertionError(f"the daemon ended without saying {words!r}: {self.log}")

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return lumiflow(*words, "--daemon", str(self.file))

    def end(self, *kinds: signal.Signals) -> int:
        for kind in kinds:
            self.process.send_signal(kind)
        return self.process.wait(PATIENCE_S)


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def lumiflow(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from orchestrator.cli import main; main()", *words]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)


@contextmanager
def served(folder: Path, *, speed: float | None = None) -> Iterator[Process]:
    """A daemon process, listening."""
    file = daemon_file(folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = file.read_text()
    if speed is not None:
        text = text.replace("file: rig.yaml", f"file: rig.yaml, speed: {speed}")
    file.write_text(f"{text}http: {{port: {port}}}\n")
    process = Process(file)
    try:
        process.until("listening at")
        yield process
    finally:
        process.process.kill()
        process.process.wait()
        if process.process.stderr is not None:
            process.process.stderr.close()


def test_the_command_line_speaks_to_the_daemon_and_sigterm_leaves_what_runs_to_be_resumed(tmp_path: Path) -> None:
    (tmp_path / "campaign.yaml").write_text(campaign_text(25))
    with served(tmp_path, speed=60.0) as daemon:
        submitted = daemon.command("submit", str(tmp_path / "campaign.yaml"), "--seed", "5", "--json")
        assert json.loads(submitted.stdout)["job"] == "quickstart-0001"
        for odd in (f"{'long' * 40}.yaml", "back\\slash.yaml", "Grün Ω 2.yaml"):
            (tmp_path / odd).write_text(campaign_text(1))
            waits = daemon.command("submit", str(tmp_path / odd))
            assert waits.returncode == 0, waits.stderr
        (tmp_path / "learns").mkdir()
        (tmp_path / "learns" / "second.yaml").write_text(campaign_text(1) + ARCHIVE)
        (tmp_path / "learns" / "earlier.csv").write_text("x,ratio,t,T,peak\n0.5,1.3,60,120,551\n0.5,9.9,60,120,551\n")
        learns = daemon.command("submit", str(tmp_path / "learns" / "second.yaml"))
        assert learns.returncode == 0, learns.stderr
        assert "left out of its 2 experiments: 1 outside" in learns.stdout
        (tmp_path / "learns" / "earlier.csv").unlink()
        missing = daemon.command("submit", str(tmp_path / "learns" / "second.yaml"))
        assert missing.returncode == 2
        assert "the table cannot be read" in missing.stderr
        state = json.loads(daemon.command("status", "--json").stdout)["rigs"]["bench"]
        assert state["job"] == "quickstart-0001"
        assert state["state"] == "running"
        assert "quickstart-0001" in daemon.command("queue").stdout
        refused = daemon.command("clear")
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "no interlock has tripped" in refused.stderr
        daemon.process.send_signal(signal.SIGHUP)
        assert daemon.end(signal.SIGTERM) == 0
        assert daemon.process.stderr is not None
        log = [json.loads(line) for line in daemon.process.stderr]
        assert any("SIGTERM" in entry["message"] for entry in log)
        assert log[0]["actor"] == {"name": "operator", "via": "http"}
    gone = lumiflow("status", "--daemon", str(tmp_path / "daemon.yaml"))
    assert gone.returncode == 3
    assert "no daemon answers" in gone.stderr


def test_asked_to_end_three_times_it_leaves_at_once(tmp_path: Path) -> None:
    (tmp_path / "campaign.yaml").write_text(campaign_text(25))
    with served(tmp_path, speed=1.0) as daemon:
        daemon.command("submit", str(tmp_path / "campaign.yaml"))
        daemon.process.send_signal(signal.SIGSTOP)  # so that all three are there when it looks
        for kind in (signal.SIGQUIT, signal.SIGTERM):
            daemon.process.send_signal(kind)
        daemon.process.send_signal(signal.SIGCONT)
        daemon.until("the rigs are made safe")
        assert daemon.end(signal.SIGINT) in (0, 70)


def test_a_daemons_file_that_is_wrong_is_refused_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "daemon.yaml"
    file.write_text("kind: daemon\nrigs:\n  bench: {file: nobody.yaml}\n")
    refused = lumiflow("serve", str(file))
    assert refused.returncode == 2
    assert "daemon.yaml:3" in refused.stderr
    assert "no such rig file" in refused.stderr
