"""Whether a rig may be left alone: what stops by itself when every computer around it is dead."""

from __future__ import annotations

from orchestrator.config import RigConfig


def unattended_problems(rig: RigConfig) -> tuple[str, ...]:
    """What keeps a rig on hardware from being held by a daemon that nobody watches; empty where nothing does."""
    heater, name = rig.heater, rig.plumbing.reactor.heater
    if heater.stops_by_itself_s is not None or rig.unattended.heater_without_watchdog == "accepted":
        return ()
    return (
        f"{name} ({heater.driver}) has no watchdog of its own: should computer and guardian die together, it goes on "
        "heating to its set-point. Where an over-temperature cut-out in hardware makes that bearable, say so in the "
        "rig file:\n  unattended:\n    heater_without_watchdog: accepted",
    )


def device_watchdogs(rig: RigConfig) -> dict[str, float | None]:
    """After how many seconds without a word from the host each actuator goes safe by itself; None: it does not."""
    pumps = {name: pump.stops_by_itself_s for name, pump in rig.pumps.items()}
    return {**pumps, rig.plumbing.reactor.heater: rig.heater.stops_by_itself_s}
