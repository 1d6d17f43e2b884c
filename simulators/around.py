"""Around the reactor: selector valves, gas lines, what a bubble sensor sees. No part of the reactor's fluid."""

from __future__ import annotations

import math

from simulators.optics import FlowCell


class Rotor:
    """A valve's rotor that turns one position in `step_s` (assumed), the short way round (a `ValvePlant`)."""

    def __init__(self, positions: int, *, step_s: float = 0.2) -> None:
        self._positions = positions
        self._step_s = step_s
        self._at = 1
        self._arrives_s = -math.inf

    def turn(self, t_s: float, position: int) -> None:
        steps = abs(position - self._at)
        self._arrives_s = t_s + self._step_s * min(steps, self._positions - steps)
        self._at = position

    def position(self, t_s: float) -> int | None:
        return self._at if t_s >= self._arrives_s else None


class GasLine:
    """Gas that follows its set-point with a lag of `lag_s` (assumed), supplied well enough (a `GasPlant`)."""

    def __init__(self, ambient_c: float, *, lag_s: float = 0.5, pressure_kpa: float = 140.0) -> None:
        self._ambient_c = ambient_c
        self._lag_s = lag_s
        self._pressure_kpa = pressure_kpa
        self._goal_mln_min = 0.0
        self._flow_mln_min = 0.0
        self._since_s = -math.inf

    def command(self, t_s: float, flow_mln_min: float) -> None:
        self._flow_mln_min, self._since_s = self.flow_mln_min(t_s), t_s
        self._goal_mln_min = flow_mln_min

    def flow_mln_min(self, t_s: float) -> float:
        fading = math.exp(-(t_s - self._since_s) / self._lag_s)
        return self._goal_mln_min + (self._flow_mln_min - self._goal_mln_min) * fading

    def temperature_c(self, t_s: float) -> float:
        return self._ambient_c

    def pressure_kpa(self, t_s: float) -> float:
        return self._pressure_kpa


class CellView:
    """What a bubble sensor right in front of the flow cell sees: gas while a bubble is in the cell (a `PhasePlant`)."""

    def __init__(self, cell: FlowCell) -> None:
        self._cell = cell

    def gas_share(self, t_s: float) -> float:
        return 1.0 if self._cell.holds_bubble(t_s) else 0.0


class AlwaysLiquid:
    """A tube without bubbles (a `PhasePlant`)."""

    def gas_share(self, t_s: float) -> float:
        return 0.0


class Atmosphere:
    """A pressure sensor that hangs on nothing (a `PressurePlant`)."""

    def pressure_kpa(self, t_s: float) -> float:
        return 0.0
