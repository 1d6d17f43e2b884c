"""A broker inside the daemon, on loopback, for a lab that has none. It asks nobody who they are."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING

from orchestrator.errors import UsageRefused

if TYPE_CHECKING:
    from amqtt.broker import Broker


async def start_broker(port: int) -> Broker:
    """Start it in the running loop; ``shutdown()`` ends it.

    Raises UsageRefused where amqtt is not installed or the port is taken.
    """
    if find_spec("amqtt") is None:
        raise UsageRefused("mqtt: embedded needs amqtt: pip install 'lumiflow[embedded-broker]'")
    from amqtt.broker import Broker
    from amqtt.contexts import BrokerConfig, ListenerConfig
    from amqtt.errors import BrokerError

    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.ERROR)  # one line for every packet, else
    broker = Broker(
        BrokerConfig(
            listeners={"default": ListenerConfig(bind=f"127.0.0.1:{port}", max_connections=64)},
            plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        )
    )
    try:
        await broker.start()
    except BrokerError as error:
        raise UsageRefused(f"the embedded MQTT broker cannot listen on port {port}: {error}") from error
    return broker
