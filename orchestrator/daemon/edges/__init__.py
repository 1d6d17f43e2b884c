"""What the daemon tells the world beside its HTTP interface: an MQTT broker, and people, by webhook, mail or MQTT.

Nothing here can hold up control: everything reads the feed through a bounded queue of its own, and what cannot be
delivered is given up after a bounded number of tries.
"""

from __future__ import annotations

from orchestrator.daemon.edges.config import EmailConfig, MqttConfig, NotifyConfig, WebhookConfig
from orchestrator.daemon.edges.running import Edges, prepare_edges, start_edges

__all__ = ["Edges", "EmailConfig", "MqttConfig", "NotifyConfig", "WebhookConfig", "prepare_edges", "start_edges"]
