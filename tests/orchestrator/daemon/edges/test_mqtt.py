"""The daemon on real brokers: what it says, what it obeys, and that a broker's end is nothing to it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.clock.virtual_time import run_real
from orchestrator.daemon.edges import MqttConfig
from orchestrator.daemon.edges.embedded import start_broker
from orchestrator.daemon.edges.mqtt import QUEUED, MqttEdge
from orchestrator.errors import UsageRefused
from tests.orchestrator.daemon.edges.brokers import Lone, Seen, free_port, mosquitto, observer, rig_state, running

PAUSE = {"verb": "pause", "rig": "bench"}
READINGS = "lumiflow/rigs/bench/readings/oven"


def states(seen: Seen) -> list[str]:
    """What the status topic has said, in order."""
    return [payload["state"] for topic, payload, _ in seen.messages if topic == "lumiflow/status"]


def newest_s(seen: Seen) -> float | None:
    """The time of the newest reading that was heard."""
    reading = seen.last(READINGS)
    return None if reading is None else float(reading["t_s"])


def edge(lone: Lone, port: int, password: str | None = None, **config: Any) -> MqttEdge:
    settings = MqttConfig.model_validate({"port": port, **config})
    return MqttEdge(settings, lone, password=password, first_wait_s=0.05)


@pytest.mark.parametrize("kind", ["mosquitto", "embedded"])
def test_readings_states_events_and_alarms_arrive_and_the_status_is_retained(tmp_path: Path, kind: str) -> None:
    async def talk(port: int) -> None:
        lone = Lone()
        on_broker = edge(lone, port)
        async with observer(port) as (seen, _), running(on_broker.run()):
            await asyncio.wait_for(on_broker.connected.wait(), 10.0)
            lone.reading(120.5)
            lone.feed.publish("bench", "state", {"state": "running", "detail": "", "job": "a-1"}, t_s=1.0, utc="x")
            told = {"run": "a-1", "seq": 3, "kind": "told", "data": {"n": 1}}
            lone.feed.publish("bench", "event", told, t_s=1.0, utc="x")
            lone.feed.publish("bench", "alarm", {"trip": {"interlock": "leak"}}, t_s=2.0, utc="x")
            await seen.until(lambda seen: seen.last("lumiflow/rigs/bench/alarm"))
            assert seen.last("lumiflow/status")["state"] == "online"
            assert seen.last("lumiflow/rigs/bench/readings/oven")["data"]["values"]["temperature_c"] == 120.5
            assert seen.last("lumiflow/rigs/bench/state")["state"] == "running"
            assert seen.last("lumiflow/rigs/bench/events/told")["data"]["data"] == {"n": 1}
            async with observer(port) as (late, _):
                await late.until(lambda late: late.last("lumiflow/status") and late.last("lumiflow/rigs/bench/state"))
                assert all(retained for _, _, retained in late.messages)
                assert late.last("lumiflow/status")["boot_id"] == "b007"

    async def main() -> None:
        if kind == "mosquitto":
            async with mosquitto(tmp_path) as broker:
                await talk(broker.port)
        else:
            port = free_port()
            broker = await start_broker(port)
            try:
                await talk(port)
            finally:
                await broker.shutdown()

    run_real(main())


def test_a_daemon_that_goes_says_so_and_one_that_dies_has_left_its_will(tmp_path: Path) -> None:
    async def main() -> None:
        async with mosquitto(tmp_path) as broker, observer(broker.port) as (seen, _):
            lone = Lone()
            leaving = edge(lone, broker.port)
            async with running(leaving.run()):
                await asyncio.wait_for(leaving.connected.wait(), 10.0)
            await seen.until(lambda seen: states(seen)[-1:] == ["offline"])
            dying = edge(lone, broker.port)
            async with running(dying.run()):
                await seen.until(lambda seen: states(seen)[-1:] == ["online"])
                # Another client of the same name: the broker throws the first one out without its goodbye.
                async with running(edge(lone, broker.port).run()):
                    await seen.until(
                        lambda seen: (
                            [p["state"] for t, p, _ in seen.messages if t == "lumiflow/status"].count("offline") > 1
                        )
                    )

    run_real(main())


def test_a_broker_that_comes_back_hears_the_newest_and_how_much_was_lost(tmp_path: Path) -> None:
    async def main() -> None:
        lone = Lone()
        async with mosquitto(tmp_path) as broker:
            on_broker = edge(lone, broker.port)
            async with running(on_broker.run()):
                await asyncio.wait_for(on_broker.connected.wait(), 10.0)
                broker.stop()
                while on_broker.connected.is_set():  # noqa: ASYNC110 - nobody waits for its opposite
                    await asyncio.sleep(0.01)
                for n in range(3 * QUEUED):
                    lone.reading(float(n), t_s=float(n))
                await broker.start()
                async with observer(broker.port) as (seen, _):
                    await seen.until(lambda seen: newest_s(seen) == 3 * QUEUED - 1)
                    status = seen.last("lumiflow/status")
                    assert status["state"] == "online"
                    assert status["outages"] >= 1
                    assert status["dropped"] >= 2 * QUEUED - 1

    run_real(main())


def test_a_broker_that_was_never_there_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        lone = Lone()
        async with running(edge(lone, free_port()).run()) as task:
            for n in range(5000):
                lone.reading(float(n))
            await asyncio.sleep(0.5)
            assert not task.done()

    run_real(main())
    assert sum("is away" in record.getMessage() for record in caplog.records) == 1


def test_commands_are_taken_only_where_the_file_allows_them(tmp_path: Path) -> None:
    async def main() -> None:
        async with mosquitto(tmp_path, password="secret") as broker:
            login = {"username": "lab", "password": "secret"}
            for allowed in (False, True):
                lone = Lone()
                on_broker = edge(lone, broker.port, "secret", username="lab", commands=allowed)
                async with observer(broker.port, **login) as (seen, client), running(on_broker.run()):
                    await asyncio.wait_for(on_broker.connected.wait(), 10.0)
                    await client.publish("lumiflow/command", json.dumps({**PAUSE, "id": "mine"}), qos=1)
                    if allowed:
                        await seen.until(lambda seen: seen.last("lumiflow/command/reply"))
                        assert seen.last("lumiflow/command/reply") == {
                            "accepted": True,
                            "detail": "as you wish",
                            "job": "quickstart-0001",
                            "id": "mine",
                        }
                        ((actor, command),) = lone.asked
                        assert (actor.name, actor.via, command.verb) == ("lab", "mqtt", "pause")
                    else:
                        await seen.until(lambda seen: seen.last("lumiflow/command"))
                        await asyncio.sleep(0.2)
                        assert lone.asked == []

    run_real(main())


@pytest.mark.parametrize(
    "payload", ["", "[]", "{", '{"verb": "explode", "rig": "bench"}', '{"verb": "pause"}', "\xff", "[" * 100_000]
)
def test_a_command_that_is_none_is_answered_and_nothing_is_done(tmp_path: Path, payload: str) -> None:
    async def main() -> None:
        lone = Lone()
        answer = await edge(lone, 1, username="lab", commands=True)._answer(payload.encode("latin-1"))
        assert answer["accepted"] is False
        assert answer["detail"]
        assert lone.asked == []

    run_real(main())


def test_a_retained_command_is_not_obeyed_again_and_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with mosquitto(tmp_path, password="secret") as broker:
            login = {"username": "lab", "password": "secret"}
            async with observer(broker.port, **login) as (seen, client):
                await client.publish("lumiflow/command", json.dumps(PAUSE), qos=1, retain=True)
                lone = Lone()
                on_broker = edge(lone, broker.port, "secret", username="lab", commands=True)
                async with running(on_broker.run()):
                    await asyncio.wait_for(on_broker.connected.wait(), 10.0)
                    await client.publish("lumiflow/command", json.dumps({**PAUSE, "verb": "resume"}), qos=1)
                    await seen.until(lambda seen: seen.last("lumiflow/command/reply"))
                    assert [command.verb for _, command in lone.asked] == ["resume"]

    run_real(main())


def test_home_assistant_is_told_once_of_each_quantity(tmp_path: Path) -> None:
    async def main() -> None:
        async with mosquitto(tmp_path) as broker, observer(broker.port) as (seen, _):
            lone = Lone()
            on_broker = edge(lone, broker.port, home_assistant=True)
            async with running(on_broker.run()):
                await asyncio.wait_for(on_broker.connected.wait(), 10.0)
                for n in range(3):
                    lone.reading(float(n), t_s=float(n))
                await seen.until(lambda seen: newest_s(seen) == 2.0)
            told = [(topic, payload) for topic, payload, _ in seen.messages if topic.startswith("homeassistant/")]
            assert len(told) == 2
            payload = told[1][1]
            assert payload["device_class"] == "temperature"
            assert payload["unit_of_measurement"] == "°C"
            assert payload["state_topic"] == "lumiflow/rigs/bench/readings/oven"
            assert payload["availability_topic"] == "lumiflow/status"

    run_real(main())


def test_notifications_wait_for_the_broker() -> None:
    async def main() -> None:
        lone = Lone()
        port = free_port()
        on_broker = edge(lone, port)
        async with running(on_broker.run()):
            on_broker.notify({"title": "bench: leak"})
            await asyncio.sleep(0.1)
            broker = await start_broker(port)
            async with observer(port) as (seen, _):
                await seen.until(lambda seen: seen.last("lumiflow/notifications") == {"title": "bench: leak"})
            await broker.shutdown()

    run_real(main())


def test_an_embedded_broker_that_cannot_listen_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with mosquitto(tmp_path) as broker:
            with pytest.raises(UsageRefused, match="cannot listen"):
                await start_broker(broker.port)

    run_real(main())


def test_the_state_that_greets_a_broker_is_the_daemons_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with mosquitto(tmp_path) as broker, observer(broker.port) as (seen, _):
            lone = Lone()
            lone.rigs = {"bench": rig_state("tripped", "leak on mixer_pressure")}
            async with running(edge(lone, broker.port).run()):
                await seen.until(lambda seen: seen.last("lumiflow/rigs/bench/state"))
            assert seen.last("lumiflow/rigs/bench/state")["detail"] == "leak on mixer_pressure"

    run_real(main())
