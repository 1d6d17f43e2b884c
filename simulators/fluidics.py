"""Syringe pumps, lines, an ideal mixer and tubes: who pushed what into the mixer, and when.

A pump's motor is exact and analytic between commands. What it delivers is then filtered on a fixed grid of ticks:
ripple along the plunger's travel, a little randomness, and the first-order lag of a compliant syringe and line. The
grid is advanced one tick at a time whoever asks, so a read never changes what comes after it. Withdrawing refills the
syringe through its valve: it moves no fluid in the reactor.

Pressure drop: dP = 128 mu L Q / (pi d^4) (Hagen-Poiseuille): 1.1 kPa for 1 m of 0.5 mm tube, 1 mPa s, 100 µL/min.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from simulators.chemistry import Array
from simulators.errors import SpecError, TimeReversalError
from simulators.noise import NoiseTable, generator
from simulators.specs import PumpSpec, TubeSpec
from simulators.steps import Steps

_RANDOM_SHARE_OF_RIPPLE = 0.3
_TIME_SLACK_S = 1e-6
FASTEST_FLOW_UL_MIN = 1e6


def pressure_drop_kpa(tube: TubeSpec, flow_ul_min: float, viscosity_mpa_s: float) -> float:
    """Laminar pressure drop along a round tube, kPa."""
    flow_m3_s = flow_ul_min * 1e-9 / 60.0
    metres, bore_m = tube.length_mm * 1e-3, tube.bore_mm * 1e-3
    return 128.0 * viscosity_mpa_s * 1e-3 * metres * flow_m3_s / (math.pi * bore_m**4) * 1e-3


class SyringePump:
    """Motor, plunger and finite syringe of one pump (a `PumpPlant`).

    The plunger stops at either end of the syringe, or where it is jammed; the motor stalls `stall_delay_s` later. A new
    command clears the stall.
    """

    def __init__(self, spec: PumpSpec, seed: int, start_s: float) -> None:
        self.spec = spec
        self._times = [start_s]
        self._displaced = [0.0]
        self._infused = [0.0]
        self._flows = [0.0]
        self._jammed = [False]
        self._fill_ul = spec.initial_fill_ul
        self._phase = float(generator(seed, spec.name, "ripple phase").uniform(0.0, 2.0 * math.pi))

    def _piece(self, t_s: float) -> int:
        index = bisect_right(self._times, t_s) - 1
        if index < 0:
            if t_s < self._times[0] - _TIME_SLACK_S:
                raise TimeReversalError(self.spec.name, t_s, self._times[0])
            index = 0
        return index

    def _room_ul(self, index: int) -> float:
        """How far the plunger can still go in the commanded direction from the start of a piece, µL, never negative."""
        if self._jammed[index]:
            return 0.0
        content = self._fill_ul - self._displaced[index]
        room = content if self._flows[index] > 0.0 else self.spec.syringe_volume_ul - content
        return max(room, 0.0)

    def _moved_ul(self, index: int, t_s: float) -> float:
        flow = self._flows[index]
        if flow == 0.0:
            return 0.0
        wanted = abs(flow) * max(t_s - self._times[index], 0.0) / 60.0
        return math.copysign(min(wanted, self._room_ul(index)), flow)

    def drive(self, t_s: float, flow_ul_min: float) -> None:
        """Command the motor from `t_s` on: > 0 infuse, < 0 withdraw, 0 stop.

        Raises: TimeReversalError before this pump's previous command, SpecError for a flow that is not a sane number.
        """
        if t_s < self._times[-1] - _TIME_SLACK_S:
            raise TimeReversalError(self.spec.name, t_s, self._times[-1])
        if not math.isfinite(flow_ul_min) or abs(flow_ul_min) > FASTEST_FLOW_UL_MIN:
            raise SpecError(f"{self.spec.name}: flow_ul_min", flow_ul_min, f"within {FASTEST_FLOW_UL_MIN:g} of 0")
        self._begin_piece(t_s, float(flow_ul_min), self._jammed[-1])

    def jam(self, t_s: float, jammed: bool = True) -> None:
        """Block the plunger from `t_s` on, or free it."""
        self._begin_piece(t_s, self._flows[-1], jammed)

    def set_content(self, t_s: float, content_ul: float) -> None:
        """Have `content_ul` left in the syringe at `t_s`. Raises: SpecError for more than it holds."""
        if not 0.0 <= content_ul <= self.spec.syringe_volume_ul:
            raise SpecError(f"{self.spec.name}: content_ul", content_ul, f"0 to {self.spec.syringe_volume_ul:g}")
        self._begin_piece(t_s, self._flows[-1], self._jammed[-1])
        self._fill_ul = content_ul + self._displaced[-1]

    def _begin_piece(self, t_s: float, flow_ul_min: float, jammed: bool) -> None:
        t_s = max(t_s, self._times[-1])
        moved = self._moved_ul(-1, t_s)
        self._infused.append(self._infused[-1] + max(moved, 0.0))
        self._displaced.append(self._displaced[-1] + moved)
        self._times.append(t_s)
        self._flows.append(flow_ul_min)
        self._jammed.append(jammed)

    @property
    def commanded_ul_min(self) -> float:
        """What the motor was last told, µL/min."""
        return self._flows[-1]

    def displaced_ul(self, t_s: float) -> float:
        """Net motor displacement since the start, µL, infuse positive."""
        index = self._piece(t_s)
        return self._displaced[index] + self._moved_ul(index, t_s)

    def infused_ul(self, t_s: float) -> float:
        """Volume that the plunger has pushed towards the mixer since the start, µL."""
        index = self._piece(t_s)
        return self._infused[index] + max(self._moved_ul(index, t_s), 0.0)

    def content_ul(self, t_s: float) -> float:
        """What is left in the syringe, µL."""
        return self._fill_ul - self.displaced_ul(t_s)

    def stalled(self, t_s: float) -> bool:
        """Whether the motor has been driven against an end of the syringe for longer than it can bear."""
        index = self._piece(t_s)
        flow = self._flows[index]
        if flow == 0.0:
            return False
        reached_s = self._times[index] + self._room_ul(index) * 60.0 / abs(flow)
        return t_s >= reached_s + self.spec.stall_delay_s

    def rippled_ul(self, infused_ul: float) -> float:
        """Volume delivered when the plunger has infused `infused_ul`: a sine in the plunger's travel around it."""
        cycle = self.spec.ripple_cycle_ul
        swing = math.sqrt(2.0) * self.spec.ripple_cv * cycle / (2.0 * math.pi)
        return infused_ul + swing * (math.cos(self._phase) - math.cos(2.0 * math.pi * infused_ul / cycle + self._phase))


class _Delivery:
    """The running state of one pump's line into the mixer."""

    def __init__(self, pump: SyringePump, seed: int, tick_s: float) -> None:
        self.pump = pump
        self.noise = NoiseTable(seed, f"{pump.spec.name} flow")
        self.random_cv = _RANDOM_SHARE_OF_RIPPLE * pump.spec.ripple_cv
        compliance = pump.spec.compliance_s
        self.compliance_s = compliance
        self.decay = math.exp(-tick_s / compliance) if compliance > 0.0 else 0.0
        self.tick_s = tick_s
        self.taken_ul = 0.0
        self.flow_ul_s = 0.0
        self.leak = Steps(0.0)

    def tick(self, index: int, end_s: float) -> float:
        """Volume that enters the mixer during tick `index`, µL."""
        pushed = self.pump.rippled_ul(self.pump.infused_ul(end_s)) - self.taken_ul
        if pushed <= 0.0:
            if self.flow_ul_s == 0.0:
                return 0.0
            pushed = 0.0
        self.taken_ul += pushed
        motor_ul_s = pushed / self.tick_s * (1.0 + self.random_cv * self.noise(index))
        excess = self.flow_ul_s - motor_ul_s
        volume = motor_ul_s * self.tick_s + excess * self.compliance_s * (1.0 - self.decay)
        self.flow_ul_s = motor_ul_s + excess * self.decay
        if abs(self.flow_ul_s) < 1e-9:
            self.flow_ul_s = 0.0
        if self.leak:
            volume *= 1.0 - self.leak.at(end_s)
        return max(volume, 0.0)


class Network:
    """All pumps into one mixer, with the history of what each has delivered.

    Columns of the history are tick ends; rows are the pumps, then their sum (the mixer's volume coordinate).
    """

    def __init__(self, pumps: Sequence[PumpSpec], seed: int, start_s: float, tick_s: float) -> None:
        self.start_s = start_s
        self.tick_s = tick_s
        self.pumps = {spec.name: SyringePump(spec, seed, start_s) for spec in pumps}
        self._deliveries = [_Delivery(pump, seed, tick_s) for pump in self.pumps.values()]
        self._ticks = 0
        self._history: Array = np.zeros((len(pumps) + 1, 4096))
        self._running = [0.0] * (len(pumps) + 1)
        self._dead_ul = np.array([0.0 if spec.primed else spec.line_volume_ul for spec in pumps])

    def leak(self, t_s: float, share: float, pump: str | None = None) -> None:
        """Have this share of what a pump pushes (None: every pump) drip out before the mixer, from `t_s` on."""
        if not 0.0 <= share <= 1.0:
            raise SpecError("leak share", share, "0 to 1")
        for delivery in self._deliveries:
            if pump in (None, delivery.pump.spec.name):
                delivery.leak.set(t_s, share)

    def advance(self, t_s: float) -> int:
        """Work out every whole tick up to `t_s`; the number of ticks that have ended by then.

        Raises: TimeReversalError before the start.
        """
        if t_s < self.start_s - _TIME_SLACK_S:
            raise TimeReversalError("fluidics", t_s, self.start_s)
        wanted = max(int((t_s - self.start_s) / self.tick_s + 1e-9), 0)
        while self._ticks < wanted:
            self._step()
        return wanted

    def _step(self) -> None:
        index = self._ticks
        column = index + 1
        if column >= self._history.shape[1]:
            self._history = np.concatenate([self._history, np.zeros_like(self._history)], axis=1)
        end_s = self.start_s + column * self.tick_s
        running = self._running
        total = running[-1]
        for row, delivery in enumerate(self._deliveries):
            volume = delivery.tick(index, end_s)
            if volume:
                running[row] += volume
                total += volume
        running[-1] = total
        self._history[:, column] = running
        self._ticks = column

    def flow_ul_min(self, t_s: float) -> float:
        """Total flow out of the mixer during the last whole tick, µL/min."""
        tick = self.advance(t_s)
        if tick == 0:
            return 0.0
        return float(self._history[-1, tick] - self._history[-1, tick - 1]) / self.tick_s * 60.0

    def mixed_ul(self, t_s: float) -> float:
        """Volume that has left the mixer, µL: the volume coordinate of the fluid that leaves it at `t_s`."""
        tick = self.advance(t_s)
        return float(self._history[-1, tick])

    def delivered_ul(self, t_s: float) -> dict[str, float]:
        """Volume that each pump has delivered to the mixer, µL."""
        tick = self.advance(t_s)
        return {name: float(self._history[row, tick]) for row, name in enumerate(self.pumps)}

    def times_of(self, mixed_ul: Array, t_s: float) -> Array:
        """When the fluid of each volume coordinate left the mixer, s; never before the start nor after `t_s`."""
        tick = self.advance(t_s)
        ends = np.arange(tick + 1) * self.tick_s
        return np.asarray(self.start_s + np.interp(mixed_ul, self._history[-1, : tick + 1], ends))

    def feed_shares(self, first_ul: Array, last_ul: Array, t_s: float) -> Array:
        """Volume share of each pump's stock in the fluid between two volume coordinates, shape (pumps, n).

        The fluid of negative coordinates is what filled the rig at the start: solvent, so shares can sum to less than
        1.
        """
        tick = self.advance(t_s)
        mixed = self._history[-1, : tick + 1]
        first, last = np.minimum(first_ul, mixed[-1]), np.minimum(last_ul, mixed[-1])
        width = np.maximum(last - first, 1e-9)
        shares = np.empty((len(self._deliveries), first.size))
        for row in range(len(self._deliveries)):
            delivered = self._history[row, : tick + 1]
            if self._dead_ul[row]:
                delivered = np.maximum(delivered - self._dead_ul[row], 0.0)
            shares[row] = (np.interp(last, mixed, delivered) - np.interp(first, mixed, delivered)) / width
        return shares
