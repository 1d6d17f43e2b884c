"""Preparing the edges that a daemon's file names, starting them, and letting go of them."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.daemon.edges.config import secret
from orchestrator.errors import UsageRefused, in_words

if TYPE_CHECKING:
    from amqtt.broker import Broker

    from orchestrator.daemon.config import LoadedDaemon
    from orchestrator.daemon.edges.mqtt import MqttEdge
    from orchestrator.daemon.facade import Conductor

_log = logging.getLogger("lumiflow.daemon")

Work = Callable[[], Coroutine[Any, Any, None]]

GOODBYE_S = 5.0
"""How long the edges may take to say that the daemon goes."""


class Edges:
    """What `prepare_edges` has found to be usable. A defect of an edge is logged and ends that edge alone."""

    def __init__(self) -> None:
        self.mqtt: MqttEdge | None = None
        self._broker: Broker | None = None
        self._works: list[tuple[str, Work]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, name: str, work: Work) -> None:
        """An edge that is to run beside everything else, once all of them are started."""
        self._works.append((name, work))

    def start(self) -> None:
        """Have every edge run."""
        works, self._works = self._works, []
        for name, work in works:
            self._tasks.append(asyncio.ensure_future(self._guarded(name, work)))

    async def _guarded(self, name: str, work: Work) -> None:
        try:
            await work()
        except Exception:  # noqa: BLE001 - telemetry must not be able to end a run
            _log.exception("%s has ended by a defect; the rigs go on without it", name)

    def own(self, broker: Broker) -> None:
        """A broker to shut down at the end."""
        self._broker = broker

    async def close(self) -> None:
        """Say goodbye and let go; never longer than a few seconds. Idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=GOODBYE_S)
        broker, self._broker = self._broker, None
        if broker is not None:
            try:
                await asyncio.wait_for(broker.shutdown(), GOODBYE_S)
            except Exception as error:  # noqa: BLE001 - it goes with the process
                _log.warning("the embedded MQTT broker did not go quietly: %r", error)


async def start_edges(conductor: Conductor, loaded: LoadedDaemon) -> Edges:
    """Start what the file names under ``mqtt:`` and ``notify:``, in the daemon's loop. Raises as `prepare_edges`."""
    edges = await prepare_edges(conductor, loaded)
    edges.start()
    return edges


async def prepare_edges(conductor: Conductor, loaded: LoadedDaemon) -> Edges:
    """Read and look at all that the file names under ``mqtt:`` and ``notify:``; they hear the daemon from now on.

    Raises SecretMissing, and UsageRefused for certificates that cannot be used and an embedded broker that cannot
    listen.
    """
    config, beside = loaded.config, loaded.path.parent
    edges = Edges()
    try:
        if config.mqtt is not None:
            from orchestrator.daemon.edges.mqtt import MqttEdge

            if config.mqtt.embedded:
                from orchestrator.daemon.edges.embedded import start_broker

                edges.own(await start_broker(config.mqtt.port))
            password_file, ca_file = config.mqtt.password_file, config.mqtt.ca_file
            edges.mqtt = MqttEdge(
                config.mqtt,
                conductor,
                password=None if password_file is None else secret(password_file, beside),
                ca_file=None if ca_file is None else _usable(loaded.beside(ca_file)),
            )
            edges.add("MQTT", edges.mqtt.run)
        for section in config.notify:
            from orchestrator.daemon.edges.notify import Notifier

            edges.add("notifications", Notifier(section, conductor, beside, edges.mqtt).run)
    except BaseException:
        await edges.close()
        raise
    return edges


def _usable(ca_file: Path) -> Path:
    """Certificates by which a broker is known. Raises UsageRefused."""
    try:
        ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise UsageRefused(f"mqtt: ca_file {ca_file} cannot be used: {in_words(error)}") from error
    return ca_file
