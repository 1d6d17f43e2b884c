"""The daemon on an MQTT broker: what happens goes out, and commands come in where the daemon's file allows it.

Topics, under the configured one (here ``lumiflow``); payloads are JSON:

    lumiflow/status                        retained: {"state", "boot_id", ...}; online, or offline, which is the will
    lumiflow/rigs/RIG/state                retained: how the rig stands
    lumiflow/rigs/RIG/readings/DEVICE      what a device says
    lumiflow/rigs/RIG/events/KIND          an event of the run's journal
    lumiflow/rigs/RIG/alarm                an interlock has latched
    lumiflow/rigs/RIG/commands             a command that somebody gave, and what became of it
    lumiflow/notifications                 what people are told of, where the file says so
    lumiflow/command                       taken from here: a command as the HTTP interface takes it
    lumiflow/command/reply                 {"accepted", "detail", "job", "id"}; id is the command's own, if it had one

While the broker is away the newest notices wait in a bounded queue; older ones are dropped and counted in the status.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.canonical import JSON, canonical
from orchestrator.daemon.commands import COMMAND, Actor
from orchestrator.daemon.edges.backoff import Backoff
from orchestrator.daemon.edges.discovery import Announcer
from orchestrator.errors import LumiflowError

if TYPE_CHECKING:
    import aiomqtt

    from orchestrator.daemon.edges.config import MqttConfig
    from orchestrator.daemon.facade import Conductor
    from orchestrator.daemon.feed import Notice

_log = logging.getLogger("lumiflow.mqtt")

QUEUED = 1024
"""Notices that wait for a broker that is away."""
EXTRAS = 64
"""Notifications that wait for it."""
PUBLISH_TIMEOUT_S = 10.0
KEEPALIVE_S = 20
LARGEST_COMMAND = 1_100_000
"""Bytes of a command's payload; a campaign's text may have a million characters."""


@dataclass(frozen=True)
class Message:
    """One thing to publish."""

    topic: str
    payload: str
    qos: int = 0
    retain: bool = False


class MqttEdge:
    """Keeps the daemon on its broker. Make it and run it in the daemon's own loop.

    ``password`` and ``ca_file`` are what the configuration's files hold and name. ``first_wait_s``: before it tries
    again to reach a broker that is away.
    """

    def __init__(
        self,
        config: MqttConfig,
        conductor: Conductor,
        *,
        password: str | None = None,
        ca_file: Path | None = None,
        first_wait_s: float = 1.0,
    ) -> None:
        self._config = config
        self._conductor = conductor
        self._password = password
        self._ca_file = ca_file
        self._backoff = Backoff(first_s=first_wait_s)
        self._subscription = conductor.feed.subscribe(bound=QUEUED, overflow="drop_oldest")
        self._extras: deque[JSON] = deque(maxlen=EXTRAS)
        self._extra = asyncio.Event()
        self._announcer = Announcer(config.topic, conductor.boot_id) if config.home_assistant else None
        self._in_hand: Notice | None = None
        self.connected = asyncio.Event()
        """Set while the broker is there."""
        self.outages = 0

    def notify(self, notification: JSON) -> None:
        """Publish a notification, now or when the broker is back; the oldest of too many are dropped."""
        self._extras.append(notification)
        self._extra.set()

    async def run(self) -> None:
        """Publish until cancelled, over all outages of the broker."""
        import aiomqtt

        told = False
        while True:
            try:
                async with self._client() as client:
                    _log.info("on the MQTT broker at %s:%d", self._config.host, self._config.port)
                    told = False
                    self._backoff.reset()
                    await self._serve(client)
            except (aiomqtt.MqttError, OSError, ssl.SSLError) as error:
                self.connected.clear()
                self.outages += 1
                if not told:  # one line an outage
                    _log.warning("the MQTT broker is away: %s", error)
                told = True
            await asyncio.sleep(self._backoff.next_s())

    async def _serve(self, client: aiomqtt.Client) -> None:
        """Everything there is to do while the broker is there. Raises aiomqtt.MqttError when it goes."""
        await self._greet(client)
        tasks = [asyncio.ensure_future(self._publish(client)), asyncio.ensure_future(self._pass_on(client))]
        tasks.append(asyncio.ensure_future(self._obey(client)))  # without commands too: it notices a lost broker
        self.connected.set()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        except asyncio.CancelledError:
            with suppress(Exception):
                await asyncio.wait_for(self._say(client, self._status("offline")), 2.0)
            raise
        finally:
            self.connected.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _client(self) -> aiomqtt.Client:
        import aiomqtt

        config = self._config
        will = self._status("offline")
        return aiomqtt.Client(
            config.host,
            config.port,
            identifier=f"lumiflow-{self._conductor.boot_id}",
            username=config.username,
            password=self._password,
            keepalive=KEEPALIVE_S,
            timeout=PUBLISH_TIMEOUT_S,
            max_queued_outgoing_messages=QUEUED,
            max_queued_incoming_messages=EXTRAS,
            will=aiomqtt.Will(will.topic, will.payload, will.qos, will.retain),
            tls_context=ssl.create_default_context(cafile=self._ca_file) if config.tls else None,
        )

    async def _greet(self, client: aiomqtt.Client) -> None:
        """Say that the daemon is there, how every rig stands, and what there is to see."""
        if self._announcer is not None:
            self._announcer.restart()
        if self._config.commands:
            await client.subscribe(f"{self._config.topic}/command", qos=1)
        state = await self._conductor.state()
        for name, rig in state.rigs.items():
            standing = {"state": rig.state, "detail": rig.detail, "job": rig.job}
            await self._say(client, self._state_of(name, {**standing, "utc": state.utc}))
        await self._say(client, self._status("online"))

    async def _publish(self, client: aiomqtt.Client) -> None:
        while True:
            if self._in_hand is None:
                self._in_hand = await anext(self._subscription)
            for message in self._messages(self._in_hand):
                await self._say(client, message)
            self._in_hand = None  # a notice that was under way when the broker went is published again

    async def _pass_on(self, client: aiomqtt.Client) -> None:
        topic = f"{self._config.topic}/notifications"
        while True:
            while self._extras:
                await self._say(client, Message(topic, canonical(self._extras[0]), qos=1))
                self._extras.popleft()
            self._extra.clear()
            await self._extra.wait()

    async def _obey(self, client: aiomqtt.Client) -> None:
        async for received in client.messages:
            payload = received.payload
            if self._config.commands and isinstance(payload, bytes) and not received.retain:
                reply = await self._answer(payload)
                await self._say(client, Message(f"{self._config.topic}/command/reply", canonical(reply), qos=1))

    async def _answer(self, payload: bytes) -> dict[str, JSON]:
        """Carry out one command and say what became of it."""
        identity: JSON = None
        try:
            if len(payload) > LARGEST_COMMAND:
                raise ValueError(f"a command of {len(payload)} bytes is too long")
            asked: Any = json.loads(payload)
            if not isinstance(asked, dict):
                raise ValueError("a command is a JSON object")
            identity = asked.pop("id", None)
            command = COMMAND.validate_python(asked)
            actor = Actor(self._config.username or "mqtt", "mqtt")
            outcome = await self._conductor.command(actor, command)
        except (ValueError, RecursionError, LumiflowError) as error:
            return {"accepted": False, "detail": str(error)[:2000], "job": None, "id": _brief(identity)}
        return {**outcome.model_dump(), "id": _brief(identity)}

    def _messages(self, notice: Notice) -> list[Message]:
        """What a notice becomes on the broker."""
        if notice.rig is None:
            return []
        place = f"{self._config.topic}/rigs/{notice.rig}"
        if notice.topic == "reading":
            found = self._announcer.messages(notice.rig, notice.data) if self._announcer is not None else []
            announced = [Message(topic, payload, qos=1, retain=True) for topic, payload in found]
            return [*announced, Message(f"{place}/readings/{_level(notice.data.get('device'))}", notice.text)]
        if notice.topic == "state":
            return [self._state_of(notice.rig, {**notice.data, "utc": notice.utc})]
        if notice.topic == "event":
            return [Message(f"{place}/events/{_level(notice.data.get('kind'))}", notice.text)]
        return [Message(f"{place}/{'alarm' if notice.topic == 'alarm' else 'commands'}", notice.text, qos=1)]

    def _state_of(self, rig: str, data: Mapping[str, JSON]) -> Message:
        return Message(f"{self._config.topic}/rigs/{rig}/state", canonical(dict(data)), qos=1, retain=True)

    def _status(self, state: str) -> Message:
        said = {"state": state, "boot_id": self._conductor.boot_id, "outages": self.outages}
        words = canonical({**said, "dropped": self._subscription.dropped})
        return Message(f"{self._config.topic}/status", words, qos=1, retain=True)

    async def _say(self, client: aiomqtt.Client, message: Message) -> None:
        await client.publish(message.topic, message.payload, qos=message.qos, retain=message.retain)


def _level(name: JSON) -> str:
    """A name as one level of a topic."""
    return "".join("_" if letter in "+#/" else letter for letter in str(name)) or "_"


def _brief(identity: JSON) -> JSON:
    """A command's own name, if it is one: a text or a whole number of reasonable length."""
    if isinstance(identity, str):
        return identity.encode(errors="replace").decode()[:100]
    return identity if isinstance(identity, int) and abs(identity) < 2**63 else None
