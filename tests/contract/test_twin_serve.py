"""`lumiflow twin serve` as a program of its own: other people's clients, a hardware run, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import load_rig, parse_campaign
from tests.orchestrator.rehearsal import CONFIGS

LUMIFLOW = [sys.executable, "-c", "from orchestrator.cli import main; main()"]
ROOT = CONFIGS.parent
posix = pytest.mark.skipif(os.name != "posix", reason="signals and ptys are POSIX")


@dataclass
class Served:
    """A rig being served: what its first line says, its process and its files."""

    first: dict[str, Any]
    process: subprocess.Popen[str]
    rig: Path
    state_file: Path

    def addresses(self, device: str) -> dict[str, str]:
        (row,) = [row for row in self.first["devices"] if row["name"] == device]
        found: dict[str, str] = row["addresses"]
        return found

    def states(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.state_file.read_text().splitlines()]

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """The states once the newest is as it should be, or after ten seconds: they are written once a second."""
        give_up_s = time.monotonic() + 10.0
        while time.monotonic() < give_up_s and not holds(self.states()[-1]):
            time.sleep(0.2)
        return self.states()

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(timeout=30)


@contextmanager
def serving(rig: str, folder: Path, *options: str) -> Iterator[Served]:
    written, state = folder / "served.yaml", folder / "state.jsonl"
    arguments = ["twin", "serve", str(CONFIGS / "rigs" / f"{rig}.yaml"), "--json"]
    process = subprocess.Popen(
        [*LUMIFLOW, *arguments, "--write-rig", str(written), "--state", str(state), *options],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        yield Served(json.loads(process.stdout.readline()), process, written, state)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


@posix
def test_strangers_clients_drive_what_is_served_until_it_is_ended(tmp_path: Path) -> None:
    import minimalmodbus
    import nesp_lib

    with serving("perovskite-bench", tmp_path) as served:
        names = [row["name"] for row in served.first["devices"]]
        assert names == list(load_rig(CONFIGS / "rigs" / "perovskite-bench.yaml").devices)
        assert all(row["address"] and row["kind"] for row in served.first["devices"])
        with nesp_lib.Port(served.addresses("cs")["pty"], 19200) as port:
            pump = nesp_lib.Pump(port, 0, 1000)
            pump.syringe_diameter_mm = 26.7
            pump.pumping_direction = nesp_lib.PumpingDirection.INFUSE
            pump.pumping_volume_ml = 5.0
            pump.pumping_rate_ml_per_min = 6.0
            pump.run(wait_while_running=False)
            assert pump.running
            instrument = minimalmodbus.Instrument(served.addresses("oven")["rtu_pty"], 1)
            instrument.serial.baudrate = 9600
            assert instrument.read_register(1, 1) == pytest.approx(25.0, abs=0.5)
            while not any(state["pumps"]["cs"]["flow_ul_min"] == 6000.0 for state in served.states()):
                assert pump.running
            pump.stop()
            instrument.serial.close()
        assert served.end(signal.SIGTERM) == 0


def at_rest(state: dict[str, Any]) -> bool:
    """No heater gives power and no pump moves."""
    heaters, pumps = state["heaters"].values(), state["pumps"].values()
    return not any(heater["output_fraction"] for heater in heaters) and not any(pump["flow_ul_min"] for pump in pumps)


def a_cool_short_campaign() -> str:
    """Two recipes on a rig that is never hotter than 40 °C, so that nobody waits for it."""
    campaign = (CONFIGS / "campaigns" / "quickstart.yaml").read_text()
    for old, new in {
        "experiments: 25": "experiments: 1",
        "initial: 8": "initial: 1",
        "strategy: ensemble": "strategy: sobol",
        "range: [60 degC, 160 degC]": "range: [38 degC, 40 degC]",
        "range: [20 s, 300 s]": "range: [20 s, 24 s]",
        "temperature_band: 0.5 K": "temperature_band: 2 K",
        "drift: 1 meV": "drift: 100 meV",
        "look_interval: 20 s": "look_interval: 5 s",
    }.items():
        assert old in campaign
        campaign = campaign.replace(old, new)
    return campaign


@posix
@pytest.mark.long
@pytest.mark.parametrize("rig", ["perovskite-bench", "cavro-julabo", "ika-hdx", "harvard-watlow"])
def test_a_hardware_run_ends_well_on_a_served_rig_and_replays_to_the_same(tmp_path: Path, rig: str) -> None:
    (tmp_path / "campaign.yaml").write_text(a_cool_short_campaign())
    with serving(rig, tmp_path, "--speed", "5", "--no-pty") as served:
        assert parse_campaign(a_cool_short_campaign(), "c", served.rig.read_text(), "r").rig.pace == 5.0
        done = lumiflow(
            tmp_path, "run", "campaign.yaml", "--rig", str(served.rig), "--hardware", "--no-report", "--json"
        )
        result = json.loads(done.stdout.splitlines()[-1])
        assert (done.returncode, result["stop_reason"], result["safe"]) == (1, "budget_experiments", True), (
            result,
            done.stderr,
        )
        states = served.until(at_rest)
        heated = [state for state in states for heater in state["heaters"].values() if heater["output_fraction"] > 0.1]
        assert heated
        assert at_rest(states[-1]), states[-1]
        assert served.end(signal.SIGINT) == 0
    again = lumiflow(tmp_path, "replay", result["journal"], "--json")
    found = json.loads(again.stdout.splitlines()[-1])
    assert found["same"], found


def lumiflow(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command as somebody types it in a folder."""
    return subprocess.run(
        [*LUMIFLOW, *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=300,
    )


def test_a_pace_is_refused_for_ports_that_may_be_hardware(tmp_path: Path) -> None:
    from orchestrator.errors import ConfigError

    text = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text().replace("kind: rig\n", "kind: rig\npace: 20\n")
    (tmp_path / "rig.yaml").write_text(text)
    with pytest.raises(ConfigError, match="hardware keeps its own time"):
        load_rig(tmp_path / "rig.yaml")


def test_a_rig_file_that_is_wrong_is_refused_in_words(tmp_path: Path) -> None:
    done = subprocess.run(
        [*LUMIFLOW, "twin", "serve", str(tmp_path / "nothing.yaml")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 2
    assert "nothing.yaml" in done.stderr
    assert "Traceback" not in done.stderr
