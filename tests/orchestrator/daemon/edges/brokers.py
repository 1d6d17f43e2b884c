"""A Mosquitto that can be stopped and started, an observer of brokers, and a conductor with nothing behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from orchestrator.daemon.commands import Actor, Command, Outcome
from orchestrator.daemon.facade import DaemonState, RigState, RunDetail, RunInfo, SyringeState
from orchestrator.daemon.feed import Feed

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin")
UTC = "2026-01-01T00:00:00.000Z"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Mosquitto:
    """Debian's broker. ``password``: of the user "lab"; without one everybody may come in."""

    def __init__(self, folder: Path, password: str | None = None) -> None:
        if MOSQUITTO is None:
            pytest.skip("mosquitto is not installed, and CI installs it")
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            "persistence false",
            f"allow_anonymous {str(password is None).lower()}",
        ]
        if password is not None:
            passwords = folder / "passwords"
            subprocess.run(
                ["mosquitto_passwd", "-b", "-c", str(passwords), "lab", password], check=True, capture_output=True
            )
            passwords.chmod(0o600)
            lines += [f"password_file {passwords}", "user root"]
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Returns when it accepts connections."""
        assert MOSQUITTO is not None
        self._process = subprocess.Popen(  # noqa: ASYNC220 - it is there at once
            [MOSQUITTO, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        await until_listening(self.port)

    def stop(self) -> None:
        """Ends it at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


async def until_listening(port: int) -> None:
    for _ in range(400):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.025)
    raise TimeoutError(f"nobody listens on {port}")


@contextlib.asynccontextmanager
async def mosquitto(folder: Path, password: str | None = None) -> AsyncIterator[Mosquitto]:
    broker = Mosquitto(folder, password)
    await broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@dataclass
class Seen:
    """What an observer has heard, in order: topic, payload, whether it was retained."""

    messages: list[tuple[str, Any, bool]] = field(default_factory=list)

    def topics(self) -> list[str]:
        return [topic for topic, _, _ in self.messages]

    def last(self, topic: str) -> Any:
        """The newest payload of a topic, or None."""
        return next((payload for heard, payload, _ in reversed(self.messages) if heard == topic), None)

    async def until(self, there: Callable[[Seen], object], patience_s: float = 15.0) -> None:
        """Wait until something is there; an AssertionError says what was."""
        for _ in range(int(patience_s / 0.02)):
            if there(self):
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"not heard; what was heard: {self.messages[-20:]}")


@contextlib.asynccontextmanager
async def observer(
    port: int, username: str | None = None, password: str | None = None
) -> AsyncIterator[tuple[Seen, aiomqtt.Client]]:
    """A client of its own that hears everything."""
    seen = Seen()
    async with aiomqtt.Client("127.0.0.1", port, username=username, password=password) as client:
        await client.subscribe("#", qos=1)

        async def listen() -> None:
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                seen.messages.append((str(message.topic), json.loads(message.payload), bool(message.retain)))

        task = asyncio.ensure_future(listen())
        try:
            yield seen, client
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class Lone:
    """A conductor without rigs behind it, whose state is what a test says."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.boot_id = "b007"
        self.asked: list[tuple[Actor, Command]] = []
        self.rigs = {"bench": rig_state()}

    async def state(self) -> DaemonState:
        return DaemonState(boot_id=self.boot_id, version="0", started_utc=UTC, utc=UTC, rigs=dict(self.rigs))

    async def command(self, actor: Actor, command: Command) -> Outcome:
        self.asked.append((actor, command))
        return Outcome(accepted=True, detail="as you wish", job="quickstart-0001")

    async def runs(self) -> tuple[RunInfo, ...]:
        return ()

    async def run(self, run_id: str) -> RunDetail:
        raise KeyError(run_id)

    def journal_path(self, run_id: str) -> Path:
        raise KeyError(run_id)

    def reading(self, temperature_c: float, t_s: float = 0.0) -> None:
        data = {"device": "oven", "values": {"temperature_c": temperature_c, "faults": []}}
        self.feed.publish("bench", "reading", data, t_s=t_s, utc=UTC)


def rig_state(state: str = "idle", detail: str = "", left_ul: float = 9000.0) -> RigState:
    """A rig with one syringe of 10 mL."""
    return RigState.model_validate(
        {
            "state": state,
            "detail": detail,
            "mode": "twin",
            "job": None,
            "campaign": None,
            "experiment": None,
            "told": 0,
            "best_error_mev": None,
            "trip": None,
            "devices": {},
            "syringes": {"pb": SyringeState(stock="lead_bromide", volume_ul=10_000.0, left_ul=left_ul)},
            "queue": (),
            "t_s": None,
        }
    )


@contextlib.asynccontextmanager
async def running(work: Any) -> AsyncIterator[asyncio.Task[None]]:
    """A task beside the test, cancelled at its end."""
    task: asyncio.Task[None] = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
