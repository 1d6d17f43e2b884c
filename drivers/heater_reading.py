"""What every temperature controller reports, whatever its make."""

from __future__ import annotations

from dataclasses import dataclass


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
