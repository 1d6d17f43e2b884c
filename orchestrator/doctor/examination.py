"""The whole examination: of a daemon's file, of a rig's file, or of the machine alone."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.config import load_rig
from orchestrator.doctor.host import check_clock, check_disk, check_versions
from orchestrator.doctor.verdict import Check
from orchestrator.errors import JournalError
from orchestrator.file_lock import FileLock
from orchestrator.yaml_source import parse, read_text

if TYPE_CHECKING:
    from orchestrator.daemon.config import LoadedDaemon


@dataclass(frozen=True)
class Examination:
    """All checks, in order."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """True when there is no problem; warnings are no problems."""
        return all(check.verdict != "problem" for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """The examination for ``--json``."""
        return {"ok": self.ok, "checks": [check.as_dict() for check in self.checks]}

    def text(self) -> str:
        """The examination for a person."""
        problems = sum(check.verdict == "problem" for check in self.checks)
        warnings = sum(check.verdict == "warning" for check in self.checks)
        last = f"{len(self.checks)} checks, {problems} problems, {warnings} warnings"
        return "\n".join([*(check.text() for check in self.checks), last])


def examine(file: Path | None) -> Examination:
    """Look at everything that a file concerns; without one, at the machine. Raises ConfigError for an unsound file."""
    if file is None:
        return Examination((*check_versions(), *check_clock(), *check_disk(Path("runs").absolute())))
    kind = parse(read_text(file), str(file)).root.get("kind")
    if kind is not None and kind.value == "daemon":
        from orchestrator.daemon.config import load_daemon

        return Examination(tuple(_of_daemon(load_daemon(file))))
    rig = load_rig(file)
    from orchestrator.doctor.dry_run import check_safe_sequence
    from orchestrator.doctor.ports import check_ports

    machine = (*check_versions(), *check_clock(), *check_disk(Path("runs").absolute()))
    return Examination((*machine, *check_ports(file.stem, rig), check_safe_sequence(file.stem, rig)))


def _of_daemon(loaded: LoadedDaemon) -> list[Check]:
    from orchestrator.doctor.dry_run import check_safe_sequence
    from orchestrator.doctor.ports import check_ports

    checks = [*check_versions(), *check_clock(), *check_disk(loaded.runs)]
    busy = {name for name in loaded.rigs if _held(loaded.rig_journal(name))}
    if busy:
        words = f"a daemon has {', '.join(sorted(busy))} open"
        checks.append(Check("daemon", "ok", words + "; their ports are not touched"))
    for name, rig in loaded.rigs.items():
        if loaded.config.rigs[name].hardware and name not in busy:
            checks += check_ports(name, rig)
        checks.append(check_safe_sequence(name, rig))
        checks += _check_rig_journal(name, loaded.rig_journal(name))
    checks.append(_check_secret("token file", loaded.beside(loaded.config.http.token_file), absent_is_fine=True))
    from orchestrator.daemon.edges.config import secret_files

    for secret in (*secret_files(loaded.config.mqtt), *secret_files(loaded.config.notify)):
        if not secret.startswith("$"):
            checks.append(_check_secret(f"secret {secret}", loaded.path.parent / secret, absent_is_fine=False))
    return [*checks, *_check_broker(loaded)]


def _held(journal: Path) -> bool:
    if not journal.exists():
        return False
    try:
        FileLock(journal).release()
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _check_rig_journal(name: str, path: Path) -> list[Check]:
    """What has been kept about the rig can be trusted."""
    if not path.exists():
        return []
    from orchestrator.journal.journal import Journal

    try:
        with Journal.open(path, readonly=True) as journal:
            return [Check(f"{name}: rig journal", "ok", f"{journal.seq} records, chain intact")]
    except JournalError as error:
        advice = f"lumiflow recover {path} keeps what precedes the damage"
        return [Check(f"{name}: rig journal", "problem", str(error), advice)]


def _check_secret(title: str, path: Path, *, absent_is_fine: bool) -> Check:
    from orchestrator.daemon.edges.config import exposed

    try:
        if exposed(path):
            return Check(title, "problem", f"others on this machine can read {path}", f"chmod 600 {path}")
    except FileNotFoundError:
        if absent_is_fine:
            return Check(title, "ok", f"{path} is made at the first start")
        return Check(title, "problem", f"there is no {path}", "write the secret into it, and chmod 600")
    except OSError as error:
        return Check(title, "problem", f"{path} cannot be looked at: {error}", "")
    return Check(title, "ok", f"only its owner can read {path}")


def _check_broker(loaded: LoadedDaemon) -> list[Check]:
    mqtt = loaded.config.mqtt
    if mqtt is None:
        return []
    title = "MQTT broker"
    if mqtt.embedded:
        from importlib.util import find_spec

        if find_spec("amqtt") is None:
            return [Check(title, "problem", "amqtt is not installed", "pip install 'lumiflow[embedded-broker]'")]
        return [Check(title, "ok", f"embedded, on port {mqtt.port}")]
    try:
        socket.create_connection((mqtt.host, mqtt.port), 2.0).close()
    except OSError as error:
        words = f"{mqtt.host}:{mqtt.port} does not answer: {error}"
        return [Check(title, "warning", words, "the daemon runs without it and tries again")]
    return [Check(title, "ok", f"{mqtt.host}:{mqtt.port} answers")]
