"""Whether a rig may be left alone: what does not stop by itself when every computer around it is dead, and how often
what does wants to be spoken to while one is alive."""

from __future__ import annotations

from orchestrator.config import RigConfig
from orchestrator.config.device_roles import HeaterConfig

LOOKS_IN_TIME = 3.0
"""So many looks at the pumps fit into the time of the shortest watchdog among them: one may be late, or be lost."""


def unattended_problems(rig: RigConfig) -> tuple[str, ...]:
    """What keeps a rig on hardware from being held by a daemon that nobody watches; empty where nothing does."""
    if rig.unattended.heater_without_watchdog == "accepted":
        return ()
    return tuple(
        f"{name} ({device.driver}) has no watchdog of its own: should computer and guardian die together, it goes on "
        "heating to its set-point. Where an over-temperature cut-out in hardware makes that bearable, say so in the "
        "rig file:\n  unattended:\n    heater_without_watchdog: accepted"
        for name, device in rig.devices.items()
        if isinstance(device, HeaterConfig) and device.stops_by_itself_s is None
    )


def pumps_heard_every_s(rig: RigConfig, at_most_s: float) -> float:
    """How often pumps are spoken to so that none stops by itself, in s: ``at_most_s`` where no watchdog is shorter."""
    known = [pump.stops_by_itself_s for pump in rig.pumps.values() if pump.stops_by_itself_s is not None]
    return min([at_most_s, *(watchdog_s / LOOKS_IN_TIME for watchdog_s in known)])
