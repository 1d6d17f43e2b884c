"""What devices say, picked up where every call of theirs passes, for those who watch from outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.rig.devices import Tracer

JSON = Any

PACED_PERIOD_S = 0.9
FREE_PERIOD_S = 60.0
"""Twins that run as fast as they can would bury every listener: of theirs, one reading a minute of their time."""


@dataclass(frozen=True)
class Reading:
    """The last that a device said. `t_s`: the run's time; `utc`: ISO 8601."""

    values: Mapping[str, JSON]
    t_s: float
    utc: str


Heard = Callable[[str, Reading, bool], None]
"""(device, what it says now, whether that is worth telling others)."""


class Tap:
    """A tracer around another one. `now` gives the run's time and UTC; `heard` must be quick and never raise."""

    def __init__(self, inner: Tracer, now: Callable[[], tuple[float, str]], heard: Heard, period_s: float) -> None:
        self._inner = inner
        self._now = now
        self._heard = heard
        self._period_s = period_s
        self._told_s: dict[str, float] = {}
        self._values: dict[str, dict[str, JSON]] = {}

    async def call(
        self, device: str, verb: str, args: Mapping[str, JSON], action: Callable[[], Awaitable[JSON]]
    ) -> JSON:
        """The inner tracer's call; what came of it is noted."""
        result = await self._inner.call(device, verb, args, action)
        said = values_of(verb, args, result)
        if said:
            values = self._values.setdefault(device, {})
            changed = verb not in ("read", "status")
            values.update(said)
            t_s, utc = self._now()
            due = changed or t_s - self._told_s.get(device, -1e9) >= self._period_s
            if due:
                self._told_s[device] = t_s
            self._heard(device, Reading(dict(values), t_s, utc), due)
        return result

    def store(self, data: bytes) -> str:
        """The inner tracer's."""
        return self._inner.store(data)

    def load(self, address: str) -> bytes:
        """The inner tracer's."""
        return self._inner.load(address)


def values_of(verb: str, args: Mapping[str, JSON], result: JSON) -> dict[str, JSON]:
    """What a device call tells, by quantity with its unit in the name; empty where it tells nothing to watch."""
    if verb == "read" and isinstance(result, list):
        temperature_c, set_point_c, output, faults = result
        return {
            "temperature_c": temperature_c,
            "set_point_c": set_point_c,
            "output_fraction": output,
            "faults": list(faults),
        }
    if verb == "read":
        return {"phase": result} if isinstance(result, str) else {"pressure_kpa": result}
    if verb == "status":
        return {"state": result[0], "infused_ul": result[1], "withdrawn_ul": result[2], "alarm": result[3]}
    if verb == "infuse":
        return {"flow_ul_min": result}
    if verb == "stop":
        return {"flow_ul_min": 0.0}
    if verb == "set_temperature":
        return {"set_point_c": result}
    if verb == "set_integration":
        return {"integration_s": result}
    if verb == "set_lamp":
        return {"lamp": args.get("on")}
    return {}
