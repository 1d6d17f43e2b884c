"""A heated block with its own PID controller, and the integral of a chemistry's rates over its temperature history.

Lumped mass: C dT/dt = P u - G (T - T_ambient), solved exactly over each tick; a first-order sensor lag. The fluid in
the heated tube is taken to be at the block's temperature. A command takes effect at the next tick of the controller.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from typing import Literal

import numpy as np

from simulators.chemistry import Array
from simulators.errors import SpecError, TimeReversalError
from simulators.noise import NoiseTable
from simulators.specs import HeaterSpec
from simulators.steps import Steps

_TIME_SLACK_S = 1e-6
_DETACHED_LAG_S = 20.0
"""How fast a thermocouple that came off its block takes the temperature of the air; assumed."""

SensorState = Literal["sound", "broken", "detached"]


class HeatedBlock:
    """Block, sensor and controller (a `HeaterPlant`); starts at ambient with its output off."""

    def __init__(self, spec: HeaterSpec, seed: int, start_s: float) -> None:
        self.spec = spec
        self.start_s = start_s
        self._noise = NoiseTable(seed, f"{spec.name} sensor")
        self._command_times = [start_s]
        self._commands = [(spec.ambient_c, False)]
        self._in_force = 0
        self._integral = 0.0
        self._block = [spec.ambient_c]
        self._sensor = [spec.ambient_c]
        self._output = [0.0]
        self._sensor_state: Steps[SensorState] = Steps("sound")
        self._welded = Steps(False)
        tick = spec.tick_s
        self._block_gain = 1.0 - math.exp(-tick * spec.loss_w_k / spec.heat_capacity_j_k)
        self._detached_gain = 1.0 - math.exp(-tick / _DETACHED_LAG_S)
        self._sensor_gain = 1.0 - math.exp(-tick / spec.sensor_lag_s) if spec.sensor_lag_s > 0.0 else 1.0

    def sensor(self, t_s: float, state: SensorState) -> None:
        """Break the thermocouple (the controller then takes its output away), detach it from the block, or mend it."""
        self._sensor_state.set(t_s, state)

    def weld_relay(self, t_s: float, welded: bool = True) -> None:
        """Have the heater at full power whatever the controller's output, or under its control again."""
        self._welded.set(t_s, welded)

    def command(self, t_s: float, set_point_c: float, automatic: bool) -> None:
        """Give the controller a set-point; `automatic` False turns its output off.

        Raises: TimeReversalError before the previous command, SpecError for a set-point that is not a sane number.
        """
        if t_s < self._command_times[-1] - _TIME_SLACK_S:
            raise TimeReversalError(self.spec.name, t_s, self._command_times[-1])
        if not math.isfinite(set_point_c) or abs(set_point_c) > 10_000.0:
            raise SpecError(f"{self.spec.name}: set_point_c", set_point_c, "-10000 to 10000")
        self._command_times.append(max(t_s, self._command_times[-1]))
        self._commands.append((float(set_point_c), bool(automatic)))

    def advance(self, t_s: float) -> int:
        """Work out every whole tick up to `t_s`; the number of ticks that have ended by then."""
        if t_s < self.start_s - _TIME_SLACK_S:
            raise TimeReversalError(self.spec.name, t_s, self.start_s)
        wanted = max(int((t_s - self.start_s) / self.spec.tick_s + 1e-9), 0)
        while len(self._block) <= wanted:
            self._step()
        return wanted

    def _step(self) -> None:
        spec = self.spec
        now_s = self.start_s + (len(self._block) - 1) * spec.tick_s
        times = self._command_times
        while self._in_force + 1 < len(times) and times[self._in_force + 1] <= now_s + _TIME_SLACK_S:
            self._in_force += 1
        set_point_c, automatic = self._commands[self._in_force]
        sensor_state = self._sensor_state.at(now_s) if self._sensor_state else "sound"
        if sensor_state == "broken":
            automatic = False
        sensor, block = self._sensor[-1], self._block[-1]
        output = 0.0
        if automatic:
            error = set_point_c - sensor
            slope = (sensor - self._sensor[-2]) / spec.tick_s if len(self._sensor) > 1 else 0.0
            demand = spec.proportional_per_k * (error - spec.derivative_s * slope) + self._integral
            output = min(max(demand, 0.0), 1.0)
            if output == demand or (demand > 1.0) == (error < 0.0):
                self._integral += spec.proportional_per_k * error * spec.tick_s / spec.integral_s
        else:
            self._integral = 0.0
        heating = 1.0 if self._welded and self._welded.at(now_s) else output
        settled = spec.ambient_c + spec.power_w * heating / spec.loss_w_k
        self._block.append(block + (settled - block) * self._block_gain)
        if sensor_state == "detached":
            self._sensor.append(sensor + (spec.ambient_c - sensor) * self._detached_gain)
        else:
            self._sensor.append(sensor + (block - sensor) * self._sensor_gain)
        self._output.append(output)

    def process_value_c(self, t_s: float) -> float:
        """The thermocouple as the controller reads it at its latest tick, °C; nan when it is broken."""
        tick = self.advance(t_s)
        if self._sensor_state and self._sensor_state.at(t_s) == "broken":
            return math.nan
        return self._sensor[tick] + self.spec.sensor_noise_k * self._noise(tick)

    def block_c(self, t_s: float) -> float:
        """True temperature of the block at the latest tick, °C."""
        return self._block[self.advance(t_s)]

    def output_fraction(self, t_s: float) -> float:
        """Heater output at the latest tick, 0 to 1."""
        return self._output[self.advance(t_s)]

    def set_point_c(self, t_s: float) -> float:
        """Working set-point, °C."""
        return self._commands[max(bisect_right(self._command_times, t_s + _TIME_SLACK_S) - 1, 0)][0]

    def blocks_c(self, first: int, last: int) -> list[float]:
        """Block temperature at the ends of ticks `first` to `last`, both included, °C."""
        return self._block[first : last + 1]


class RateIntegral:
    """Running integrals of k rates over the block's temperature: extents are differences of them."""

    def __init__(self, block: HeatedBlock, rates: Callable[[Array], Array]) -> None:
        self._block = block
        self._rates = rates
        initial = rates(np.array(block.blocks_c(0, 0)))
        self._known = 0
        self._rate: Array = initial[:, 0]
        self._sums: Array = np.zeros((len(initial), 8192))

    def up_to(self, t_s: float) -> int:
        """Extend to the latest tick; its number."""
        tick = self._block.advance(t_s)
        if tick > self._known:
            while tick >= self._sums.shape[1]:
                self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)], axis=1)
            fresh = self._rates(np.array(self._block.blocks_c(self._known + 1, tick)))
            before = np.concatenate([self._rate[:, None], fresh[:, :-1]], axis=1)
            steps = 0.5 * self._block.spec.tick_s * (before + fresh)
            steps[:, 0] += self._sums[:, self._known]
            self._sums[:, self._known + 1 : tick + 1] = np.cumsum(steps, axis=1)
            self._rate = fresh[:, -1]
            self._known = tick
        return tick

    def between(self, enter_s: Array, leave_s: Array, t_s: float) -> Array:
        """Extents, shape (k, n), of parcels in the heat from `enter_s` to `leave_s` (n,), none later than `t_s`."""
        tick = self.up_to(t_s)
        return self._at(leave_s, tick) - self._at(enter_s, tick)

    def _at(self, times_s: Array, tick: int) -> Array:
        place = np.clip((times_s - self._block.start_s) / self._block.spec.tick_s, 0.0, float(tick))
        whole = np.minimum(place.astype(np.intp), max(tick - 1, 0))
        low = self._sums[:, whole]
        return np.asarray(low + (self._sums[:, whole + 1] - low) * (place - whole)) if tick else np.zeros_like(low)
