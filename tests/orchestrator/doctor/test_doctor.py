"""The doctor: each thing that would keep a rig from being left alone has a verdict and an advice."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli.commands import app
from orchestrator.clock.virtual_time import UtcClock, run_virtual
from orchestrator.config import ModbusTcpPort, RigConfig, SafeStep, SerialPort, load_rig
from orchestrator.doctor import Check, examine
from orchestrator.doctor.dry_run import check_safe_sequence
from orchestrator.doctor.host import check_clock, check_disk, check_versions
from orchestrator.doctor.ports import check_ports
from orchestrator.journal.journal import Journal

RIG = Path(__file__).resolve().parents[3] / "configs" / "rigs" / "perovskite-bench.yaml"


def with_ports(**ports: SerialPort | ModbusTcpPort) -> RigConfig:
    return load_rig(RIG).model_copy(update={"ports": ports})


def serial(url: str) -> SerialPort:
    return SerialPort.model_validate({"kind": "serial", "url": url})


def tcp(port: int) -> ModbusTcpPort:
    return ModbusTcpPort.model_validate({"kind": "modbus_tcp", "host": "127.0.0.1", "tcp_port": port})


def daemon_file(folder: Path, more: str = "") -> Path:
    path = folder / "daemon.yaml"
    path.write_text(f"kind: daemon\nrigs:\n  bench:\n    file: {RIG}\n{more}")
    return path


def found(checks: tuple[Check, ...] | list[Check], name: str) -> Check:
    (check,) = (check for check in checks if check.name == name)
    return check


@pytest.mark.skipif(sys.platform == "win32", reason="a pty is POSIX")
def test_a_port_that_is_there_may_be_opened_and_one_that_is_not_is_named() -> None:
    master, slave = os.openpty()
    try:
        there, absent = check_ports("bench", with_ports(a=serial(os.ttyname(slave)), b=serial("/dev/ttyNONE")))
    finally:
        os.close(master)
        os.close(slave)
    assert there.verdict == "ok"
    assert absent.verdict == "problem"
    assert "/dev/ttyNONE" in absent.found
    assert absent.advice.startswith("plug it in")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may open everything")
def test_a_port_that_this_user_may_not_open_names_the_group(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch(mode=0o000)
    (check,) = check_ports("bench", with_ports(a=serial(str(port))))
    assert check.verdict == "problem"
    assert f"usermod -aG {port.group()}" in check.advice


def test_a_device_server_that_does_not_answer_is_a_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        url = f"socket://127.0.0.1:{number}"
        assert [check.verdict for check in check_ports("bench", with_ports(a=tcp(number), b=serial(url)))] == ["ok"] * 2
    assert [check.verdict for check in check_ports("bench", with_ports(a=tcp(number), b=serial(url)))] == [
        "problem"
    ] * 2


def test_the_safe_sequence_is_gone_through_without_a_device() -> None:
    check = check_safe_sequence("bench", load_rig(RIG))
    assert check.verdict == "ok"
    assert check.found.startswith("heaters_off, flush, pumps_stop, lamp_off; about 4 min")


def test_a_safe_sequence_that_breaks_the_rigs_own_limits_or_leaves_a_pump_running_is_a_problem() -> None:
    rig = load_rig(RIG)
    off, flush, stop, lamp = rig.safe_sequence
    too_fast: SafeStep = flush.model_copy(update={"flow_ul_min": 5000.0})
    wrong = rig.model_copy(update={"safe_sequence": (off, too_fast, stop, lamp)})
    assert "outside" in check_safe_sequence("bench", wrong).found
    for left_out, words in ((stop, "not stopped"), (off, "never switches oven off")):
        steps = tuple(step for step in rig.safe_sequence if step is not left_out)
        check = check_safe_sequence("bench", rig.model_copy(update={"safe_sequence": steps}))
        assert check.verdict == "problem"
        assert words in check.found


def test_the_machine_is_looked_at(tmp_path: Path) -> None:
    checks = [*check_versions(), *check_clock(), *check_disk(tmp_path / "runs" / "not" / "yet")]
    assert {"versions", "clock", "disk", "journal"} <= {check.name for check in checks}
    assert found(checks, "journal").verdict != "problem"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    assert found(check_disk(tmp_path), "journal").verdict == "problem"


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
def test_secrets_that_others_can_read_are_a_problem(tmp_path: Path) -> None:
    more = "mqtt:\n  port: 1\n  username: lab\n  password_file: mqtt.password\n"
    file = daemon_file(tmp_path, more)
    (tmp_path / "lumiflow.tokens").write_text("x")
    (tmp_path / "lumiflow.tokens").chmod(0o644)
    checks = examine(file).checks
    assert found(checks, "token file").verdict == "problem"
    assert "chmod 600" in found(checks, "token file").advice
    assert "there is no" in found(checks, "secret mqtt.password").found
    assert found(checks, "MQTT broker").verdict == "warning"
    for name in ("lumiflow.tokens", "mqtt.password"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o600)
    checks = examine(file).checks
    assert {found(checks, name).verdict for name in ("token file", "secret mqtt.password")} == {"ok"}


def test_a_damaged_rig_journal_is_named_and_a_daemon_at_work_is_left_alone(tmp_path: Path) -> None:
    file = daemon_file(tmp_path)
    path = tmp_path / "runs" / "rigs" / "bench.sqlite"
    path.parent.mkdir(parents=True)

    async def main() -> None:
        with Journal.create(path, UtcClock(asyncio.get_running_loop())) as journal:
            await journal.append("refilled", {"text": "x" * 3000})
            checks = await asyncio.to_thread(lambda: examine(file).checks)
            assert "bench open" in found(checks, "daemon").found

    run_virtual(main())
    content = path.read_bytes()
    path.write_bytes(content.replace(b"x" * 100, b"y" * 100, 1))
    check = found(examine(file).checks, "bench: rig journal")
    assert check.verdict == "problem"
    assert "record 1" in check.found


def test_the_command_says_it_in_words_and_in_json(tmp_path: Path) -> None:
    runner = CliRunner()
    said = runner.invoke(app, ["doctor", str(daemon_file(tmp_path)), "--json"])
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["ok"] is True
    bad = runner.invoke(app, ["doctor", str(RIG)])
    assert bad.exit_code == 2
    assert "-> plug it in" in bad.stdout
    assert runner.invoke(app, ["doctor", str(tmp_path / "absent.yaml")]).exit_code == 2
