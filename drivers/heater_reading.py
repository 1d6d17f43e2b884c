"""What every temperature controller reports, whatever its make."""

from __future__ import annotations

import math
from dataclasses import dataclass

from drivers.readings import Look


@dataclass(frozen=True)
class HeaterReading:
    """One look at the controller. ``temperature_c`` is nan while the sensor is broken.

    ``output_fraction`` is nan where the controller does not tell its power. ``heater_fail`` covers a controller that
    reports a fault of its own, or that has stopped heating without being told to. ``alarm`` is true while any alarm of
    the controller is active. A flag that a controller has no register for stays false.
    """

    temperature_c: float
    set_point_c: float
    output_fraction: float
    sensor_break: bool
    loop_break: bool
    heater_fail: bool
    out_of_range: bool
    alarm: bool


def heater_look(identity: str, reading: HeaterReading) -> Look:
    """The reading in words."""
    flags = {
        "sensor break": reading.sensor_break,
        "loop break": reading.loop_break,
        "heater fail": reading.heater_fail,
        "out of range": reading.out_of_range,
        "alarm": reading.alarm,
    }
    raised = [words for words, up in flags.items() if up]
    power = "power unknown" if math.isnan(reading.output_fraction) else f"output {reading.output_fraction:.0%}"
    state = ", ".join([f"set-point {reading.set_point_c:g} °C", power, *raised])
    return Look(identity, state, f"{reading.temperature_c:.2f} °C")
