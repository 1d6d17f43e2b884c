"""A broker that dies in the middle of a campaign and comes back: the campaign stays the same, telemetry comes back."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from orchestrator.clock.virtual_time import run_real
from orchestrator.daemon.commands import COMMAND, Actor
from orchestrator.daemon.config import load_daemon
from orchestrator.daemon.edges import start_edges
from orchestrator.daemon.service import Daemon
from orchestrator.journal.journal import dump
from tests.orchestrator.daemon.edges.brokers import Mosquitto, Seen, mosquitto, observer

CONFIGS = Path(__file__).resolve().parents[4] / "configs"
SPEED = 1500
"""Virtual seconds a second: a campaign of half an hour of the reactor then leaves time for the broker to come back."""


def daemon_file(folder: Path, mqtt: str) -> Path:
    folder.mkdir()
    path = folder / "daemon.yaml"
    rig = CONFIGS / "rigs" / "perovskite-bench.yaml"
    path.write_text(f"kind: daemon\nrigs:\n  bench:\n    file: {rig}\n    speed: {SPEED}\n{mqtt}")
    return path


def campaign() -> str:
    text = (CONFIGS / "campaigns" / "quickstart.yaml").read_text()
    edits = {"experiments: 25": "experiments: 2", "initial: 8": "initial: 2", "strategy: ensemble": "strategy: sobol"}
    for old, new in edits.items():
        assert old in text
        text = text.replace(old, new)
    return text


async def conduct(folder: Path, mqtt: str, broker: Mosquitto | None) -> str:
    """Submit the campaign, restart the broker once an experiment is being dosed; the run's journal as text."""
    loaded = load_daemon(daemon_file(folder, mqtt))
    daemon = Daemon(loaded)
    await daemon.start()
    edges = await start_edges(daemon, loaded)
    notices = daemon.feed.subscribe(topics=("event",), bound=4096)
    asked = {"verb": "submit", "rig": "bench", "campaign": campaign()}
    outcome = await daemon.command(Actor("test", "cli"), COMMAND.validate_python(asked))
    assert outcome.accepted, outcome.detail
    assert outcome.job is not None
    restarted: asyncio.Task[Seen] | None = None
    try:
        async with AsyncExitStack() as stack:
            async for notice in notices:
                if notice.data["kind"] == "dosing" and broker is not None and restarted is None:
                    assert edges.mqtt is not None
                    await asyncio.wait_for(edges.mqtt.connected.wait(), 10.0)
                    restarted = asyncio.ensure_future(restart(broker, stack))
                if notice.data["kind"] == "ended":
                    break
            if restarted is not None:
                seen = await restarted
                await seen.until(lambda seen: seen.last("lumiflow/rigs/bench/events/ended"))
                status = seen.last("lumiflow/status")
                # How much was dropped meanwhile depends on how long the broker was away: its queue is bounded.
                assert (status["state"], status["boot_id"]) == ("online", daemon.boot_id)
    finally:
        await daemon.close()
        await edges.close()
    return dump(daemon.journal_path(outcome.job))


async def restart(broker: Mosquitto, stack: AsyncExitStack) -> Seen:
    """Kill the broker and start it again, with an observer on the new one."""
    broker.stop()
    await asyncio.sleep(0.3)
    await broker.start()
    seen, _ = await stack.enter_async_context(observer(broker.port))
    return seen


def test_a_mosquitto_restarted_in_the_middle_of_a_campaign_changes_nothing_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        alone = await conduct(tmp_path / "alone", "", None)
        async with mosquitto(tmp_path) as broker:
            beside = await conduct(tmp_path / "beside", f"mqtt:\n  port: {broker.port}\n", broker)
        assert alone.count("\n") > 10
        assert beside == alone

    run_real(main())
