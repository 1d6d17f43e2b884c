"""Small honest plants, and wires with faults, for the tests of drivers and twins."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulators.links import Emit, Loop, StreamTwin


@dataclass
class SteppingPump:
    """A motor that turns as told, until ``stall_at_ul`` of net displacement."""

    stall_at_ul: float = math.inf
    flow_ul_min: float = 0.0
    since_s: float = 0.0
    base_ul: float = 0.0
    commands: list[tuple[float, float]] = field(default_factory=list)

    def displaced_ul(self, t_s: float) -> float:
        assert t_s >= self.since_s, "time went back"
        return min(self.base_ul + self.flow_ul_min * (t_s - self.since_s) / 60.0, self.stall_at_ul)

    def drive(self, t_s: float, flow_ul_min: float) -> None:
        self.base_ul = self.displaced_ul(t_s)
        self.since_s = t_s
        self.flow_ul_min = flow_ul_min
        self.commands.append((t_s, flow_ul_min))

    def stalled(self, t_s: float) -> bool:
        return self.flow_ul_min > 0.0 and self.displaced_ul(t_s) >= self.stall_at_ul


@dataclass
class LaggingHeater:
    """A first-order lag of 60 s towards the set-point, or towards 20 °C with the output off."""

    lag_s: float = 60.0
    ambient_c: float = 20.0
    temperature_c: float = 20.0
    target_c: float = 20.0
    automatic: bool = True
    since_s: float = 0.0
    broken: bool = False

    def _advance(self, t_s: float) -> float:
        assert t_s >= self.since_s, "time went back"
        goal_c = self.target_c if self.automatic else self.ambient_c
        self.temperature_c = goal_c + (self.temperature_c - goal_c) * math.exp(-(t_s - self.since_s) / self.lag_s)
        self.since_s = t_s
        return self.temperature_c

    def process_value_c(self, t_s: float) -> float:
        return math.nan if self.broken else self._advance(t_s)

    def output_fraction(self, t_s: float) -> float:
        self._advance(t_s)
        return min(1.0, max(0.0, (self.target_c - self.ambient_c) / 200.0)) if self.automatic else 0.0

    def set_point_c(self, t_s: float) -> float:
        return self.target_c

    def command(self, t_s: float, set_point_c: float, automatic: bool) -> None:
        self._advance(t_s)
        self.target_c, self.automatic = set_point_c, automatic


@dataclass
class SteadyPressure:
    """A line at one pressure."""

    value_kpa: float = 250.0

    def pressure_kpa(self, t_s: float) -> float:
        return self.value_kpa


@dataclass
class LampAndPeak:
    """A dark level, and with the lamp on a Gaussian of ``counts_per_s`` around pixel 1000."""

    counts_per_s: float = 200_000.0
    dark_counts: float = 1000.25
    pixels: int = 2048
    on: bool = False
    exposures: list[tuple[float, float, bool]] = field(default_factory=list)

    def lamp(self, t_s: float, on: bool) -> None:
        self.on = on

    def expose(self, t_start_s: float, integration_s: float) -> NDArray[np.float64]:
        self.exposures.append((t_start_s, integration_s, self.on))
        pixel = np.arange(self.pixels, dtype=np.float64)
        light = np.exp(-(((pixel - 1000.0) / 40.0) ** 2)) * self.counts_per_s * integration_s
        return self.dark_counts + (light if self.on else 0.0 * light)


class FaultyWire:
    """Stands between a link and a twin and bends the twin's answers.

    ``bend`` takes each answer and returns (delay in s, bytes) pairs to send in its place: none at all for a lost one.
    """

    def __init__(self, twin: StreamTwin, bend: Callable[[bytes], list[tuple[float, bytes]]]) -> None:
        self._twin = twin
        self._bend = bend

    def attach(self, loop: Loop, emit: Emit) -> None:
        def bent(data: bytes) -> None:
            for delay_s, piece in self._bend(data):
                if delay_s > 0.0:
                    loop.call_later(delay_s, emit, piece)
                else:
                    emit(piece)

        self._twin.attach(loop, bent)

    def receive(self, data: bytes) -> None:
        self._twin.receive(data)
