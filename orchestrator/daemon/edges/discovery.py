"""Announcements by which Home Assistant finds the daemon's readings, each made once when a reading is first heard."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.canonical import JSON, canonical

_KINDS: Mapping[str, tuple[str, str | None]] = {
    "_c": ("°C", "temperature"),
    "_kpa": ("kPa", "pressure"),
    "_ul_min": ("µL/min", None),
    "_ul": ("µL", None),
    "_s": ("s", "duration"),
    "_nm": ("nm", None),
    "_fraction": ("", None),
}
"""Unit and device class, as Home Assistant calls them, by the suffix of a quantity's name."""


class Announcer:
    """Makes the announcements of one daemon. ``topic``: what its own topics begin with."""

    def __init__(self, topic: str, boot_id: str) -> None:
        self._topic = topic
        self._boot_id = boot_id
        self._announced: set[str] = set()

    def restart(self) -> None:
        """The broker is another one, or has forgotten: announce everything again."""
        self._announced.clear()

    def messages(self, rig: str, reading: Mapping[str, JSON]) -> list[tuple[str, str]]:
        """(topic, payload) for each quantity of a reading, and for the rig itself, that was not announced yet."""
        device, values = str(reading.get("device")), reading.get("values")
        found = [] if rig in self._announced else [self._rig(rig)]
        self._announced.add(rig)
        for quantity, value in (values if isinstance(values, Mapping) else {}).items():
            name = f"{rig}/{device}/{quantity}"
            if isinstance(value, int | float) and not isinstance(value, bool) and name not in self._announced:
                self._announced.add(name)
                found.append(self._quantity(rig, device, str(quantity)))
        return found

    def _rig(self, rig: str) -> tuple[str, str]:
        return self._entry(rig, "state", f"{self._topic}/rigs/{rig}/state", "{{ value_json.state }}", {})

    def _quantity(self, rig: str, device: str, quantity: str) -> tuple[str, str]:
        suffix = next((suffix for suffix in _KINDS if quantity.endswith(suffix)), None)
        extra: dict[str, JSON] = {"state_class": "measurement"}
        if suffix is not None:
            unit, kind = _KINDS[suffix]
            extra |= {"unit_of_measurement": unit} if unit else {}
            extra |= {"device_class": kind} if kind else {}
        topic = f"{self._topic}/rigs/{rig}/readings/{device}"
        return self._entry(rig, f"{device} {quantity}", topic, f"{{{{ value_json.data['values'].{quantity} }}}}", extra)

    def _entry(self, rig: str, name: str, topic: str, template: str, extra: Mapping[str, JSON]) -> tuple[str, str]:
        identity = _plain(f"{self._topic}_{rig}_{name}")
        payload = {
            "name": name,
            "unique_id": identity,
            "state_topic": topic,
            "value_template": template,
            "availability_topic": f"{self._topic}/status",
            "availability_template": "{{ value_json.state }}",
            "device": {"identifiers": [_plain(f"{self._topic}_{rig}")], "name": f"{rig}", "manufacturer": "Lumiflow"},
            **extra,
        }
        return f"homeassistant/sensor/{identity}/config", canonical(payload)


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)
