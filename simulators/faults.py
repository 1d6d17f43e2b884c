"""Faults of a simulated rig: what goes wrong, where, when, and how it acts on the wires and in the world.

A fault is injected now (:meth:`Faults.inject`), at a moment, or again and again at random with a seed
(:meth:`Faults.schedule`). Times are seconds since the world's start. A rig without faults draws no random number here
and starts no timer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from simulators.errors import SpecError, UnknownNameError
from simulators.links import Loop, Timer
from simulators.wire_faults import WireFaults

if TYPE_CHECKING:
    from simulators.wire_ocean import OceanTwin
    from simulators.wire_pressure import PressureChannel
    from simulators.world import World

T = TypeVar("T")

STALL_KPA: Final = 2000.0
"""Pressure against which a syringe pump stalls; assumed (about 60 N on a 20 mL syringe)."""
_CLOG_WATCH_S: Final = 2.0

Place = Literal["pump", "heater", "detector", "pressure", "port", "reactor"]


class FaultKind(StrEnum):
    """What can go wrong."""

    PUMP_STALL = "pump_stall"
    SYRINGE_EMPTY = "syringe_empty"
    POWER_BLIP = "power_blip"
    LEAK = "leak"
    CLOG = "clog"
    BUBBLE = "bubble"
    SENSOR_BREAK = "sensor_break"
    SENSOR_DETACHED = "sensor_detached"
    RELAY_WELDED = "relay_welded"
    SATURATION = "saturation"
    LAMP_DRIFT = "lamp_drift"
    FOULING = "fouling"
    BROKEN_WIRE = "broken_wire"
    GARBAGE = "garbage"
    DROPPED = "dropped"
    LATE = "late"
    SILENCE = "silence"
    PORT_LOSS = "port_loss"
    USB_UNPLUG = "usb_unplug"
    USB_HANG = "usb_hang"


@dataclass(frozen=True)
class _Nature:
    """Where a fault sits, what its size means and usually is, and how long it usually lasts."""

    place: Place
    size: float = 0.0
    low: float = 0.0
    high: float = math.inf
    duration_s: float = math.inf


NATURE: Final[Mapping[FaultKind, _Nature]] = {
    FaultKind.PUMP_STALL: _Nature("pump"),
    FaultKind.SYRINGE_EMPTY: _Nature("pump"),  # size: µL left
    FaultKind.POWER_BLIP: _Nature("pump"),
    FaultKind.LEAK: _Nature("reactor", 0.6, 0.0, 1.0),  # size: share of the flow that drips out
    FaultKind.CLOG: _Nature("reactor", 30.0, 0.1),  # size: time in which the resistance doubles, s
    FaultKind.BUBBLE: _Nature("detector", duration_s=60.0),
    FaultKind.SENSOR_BREAK: _Nature("heater"),
    FaultKind.SENSOR_DETACHED: _Nature("heater"),
    FaultKind.RELAY_WELDED: _Nature("heater"),
    FaultKind.SATURATION: _Nature("detector", 1000.0, 1.0),  # size: how many times too bright the lamp is
    FaultKind.LAMP_DRIFT: _Nature("detector", -0.3, -10.0, 10.0),  # size: share of the lamp's power per hour
    FaultKind.FOULING: _Nature("detector", 0.5, 0.0, 100.0),  # size: absorbance per hour
    FaultKind.BROKEN_WIRE: _Nature("pressure"),
    FaultKind.GARBAGE: _Nature("port", 0.01, 0.0, 1.0),  # size: share of the bytes
    FaultKind.DROPPED: _Nature("port", 0.05, 0.0, 1.0),  # size: share of the replies
    FaultKind.LATE: _Nature("port", 0.8, duration_s=10.0),  # size: delay, s
    FaultKind.SILENCE: _Nature("port", duration_s=10.0),
    FaultKind.PORT_LOSS: _Nature("port", duration_s=10.0),
    FaultKind.USB_UNPLUG: _Nature("detector", duration_s=10.0),
    FaultKind.USB_HANG: _Nature("detector", duration_s=10.0),
}


@dataclass(frozen=True)
class Fault:
    """One fault. ``target`` names a device or a port; a leak or clog behind the mixer has "reactor".

    ``at_s``: when it begins. ``every_s``: it comes again and again at random, at this mean interval from ``at_s`` on.
    ``duration_s`` and ``size`` are usual ones where None; what a size means is said at each kind in ``NATURE``.
    """

    kind: FaultKind
    target: str
    at_s: float = 0.0
    duration_s: float | None = None
    size: float | None = None
    every_s: float | None = None

    def __post_init__(self) -> None:
        nature = NATURE[self.kind]
        where = f"Fault({self.kind})"
        if not (math.isfinite(self.at_s) and self.at_s >= 0.0):
            raise SpecError(f"{where}.at_s", self.at_s, "0 or more")
        if self.duration_s is not None and not self.duration_s > 0.0:
            raise SpecError(f"{where}.duration_s", self.duration_s, "above 0")
        if self.every_s is not None and not (math.isfinite(self.every_s) and self.every_s > 0.0):
            raise SpecError(f"{where}.every_s", self.every_s, "above 0")
        if self.size is not None and not nature.low <= self.size <= nature.high:
            raise SpecError(f"{where}.size", self.size, f"{nature.low:g} to {nature.high:g}")

    @property
    def lasts_s(self) -> float:
        """How long it lasts; infinite for one that nobody mends."""
        return NATURE[self.kind].duration_s if self.duration_s is None else self.duration_s

    @property
    def extent(self) -> float:
        """Its size, the usual one if none was given."""
        return NATURE[self.kind].size if self.size is None else self.size


@dataclass
class Points:
    """Where faults can be injected: wires by port, and what else is no part of the world, by device."""

    wires: dict[str, WireFaults] = field(default_factory=dict)
    power: dict[str, Callable[[], None]] = field(default_factory=dict)
    spectrometers: dict[str, OceanTwin] = field(default_factory=dict)
    channels: dict[str, PressureChannel] = field(default_factory=dict)


class Faults:
    """The faults of one simulated rig.

    Args:
        world: the physical world.
        points: wires, power supplies, USB devices; may be filled after construction.
        seed: of the random moments.
    """

    def __init__(self, world: World, points: Points, seed: int) -> None:
        self._world = world
        self._points = points
        self._seed = seed
        self._timers: set[Timer] = set()
        self._watch: Timer | None = None
        self.injected: list[Fault] = []

    @property
    def world(self) -> World:
        """The physical world that the faults befall."""
        return self._world

    @property
    def wires(self) -> Mapping[str, WireFaults]:
        """The faults of each port that a driver has opened."""
        return self._points.wires

    def schedule(self, loop: Loop, faults: Sequence[Fault]) -> None:
        """Have each fault happen at its time; a random one again and again."""
        for index, fault in enumerate(faults):
            if fault.every_s is None:
                self._at(loop, fault.at_s, self._begin, loop, fault)
            else:
                draws = random.Random(f"{self._seed} fault {index} {fault.kind} {fault.target}")
                self._next(loop, fault, fault.at_s, draws)

    def inject(
        self,
        loop: Loop,
        kind: FaultKind | str,
        target: str,
        *,
        size: float | None = None,
        duration_s: float | None = None,
    ) -> Fault:
        """Have a fault happen now. Raises: UnknownNameError, SpecError, ValueError for a kind that there is not."""
        at_s = max(loop.time() - self._world.start_s, 0.0)
        fault = Fault(FaultKind(kind), target, at_s, duration_s=duration_s, size=size)
        self._begin(loop, fault)
        return fault

    def stop(self) -> None:
        """Nothing happens any more; what has happened stays."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._watch is not None:
            self._watch.cancel()

    def _at(self, loop: Loop, at_s: float, act: Callable[..., None], *args: object) -> None:
        def run() -> None:
            self._timers.discard(timer)
            act(*args)

        timer = loop.call_at(max(self._world.start_s + at_s, loop.time()), run)
        self._timers.add(timer)

    def _next(self, loop: Loop, fault: Fault, after_s: float, draws: random.Random) -> None:
        assert fault.every_s is not None
        at_s = after_s + draws.expovariate(1.0 / fault.every_s)

        def happen() -> None:
            self._begin(loop, replace(fault, at_s=at_s, every_s=None))
            over_s = fault.lasts_s if math.isfinite(fault.lasts_s) else 0.0
            self._next(loop, fault, at_s + over_s, draws)

        self._at(loop, at_s, happen)

    def _begin(self, loop: Loop, fault: Fault) -> None:
        self._set(loop, fault, True)
        self.injected.append(fault)
        if math.isfinite(fault.lasts_s):
            self._at(loop, loop.time() - self._world.start_s + fault.lasts_s, self._set, loop, fault, False)

    def _set(self, loop: Loop, fault: Fault, on: bool) -> None:
        place = NATURE[fault.kind].place
        now_s = loop.time()
        if place == "port":
            self._set_wire(fault, on)
        elif place == "detector":
            self._set_detector(fault, now_s, on)
        elif place == "heater":
            self._world.heater(fault.target)
            self._set_heater(fault.kind, now_s, on)
        elif place == "pump":
            self._set_pump(fault, now_s, on)
        elif fault.kind is FaultKind.BROKEN_WIRE:
            _known(self._points.channels, "pressure transmitter", fault.target).broken = on
        elif fault.kind is FaultKind.LEAK:
            pump = None if fault.target == "reactor" else self._world.syringe(fault.target).spec.name
            self._world.network.leak(now_s, fault.extent if on else 0.0, pump)
        else:
            self._world.tap.clog(now_s, fault.extent if on else None)
            if on:
                self._watch_clog(loop)

    def _set_wire(self, fault: Fault, on: bool) -> None:
        wire = _known(self._points.wires, "port", fault.target)
        extent = fault.extent if on else 0.0
        if fault.kind is FaultKind.GARBAGE:
            wire.corrupted = extent
        elif fault.kind is FaultKind.DROPPED:
            wire.dropped = extent
        elif fault.kind is FaultKind.LATE:
            wire.late_s = extent
        elif fault.kind is FaultKind.SILENCE:
            wire.silent = on
        elif on:
            wire.lose_port()
        else:
            wire.restore_port()

    def _set_detector(self, fault: Fault, now_s: float, on: bool) -> None:
        cell = self._world.cell
        self._world.optics(fault.target)
        if fault.kind is FaultKind.BUBBLE:
            cell.bubble(now_s, on)
        elif fault.kind is FaultKind.SATURATION:
            cell.brighten(now_s, fault.extent if on else 1.0)
        elif fault.kind is FaultKind.LAMP_DRIFT:
            cell.drift(now_s, fault.extent if on else 0.0)
        elif fault.kind is FaultKind.FOULING:
            cell.foul(now_s, fault.extent if on else 0.0)
        else:
            twin = _known(self._points.spectrometers, "spectrometer", fault.target)
            if fault.kind is FaultKind.USB_HANG:
                twin.hang(on)
            elif on:
                twin.unplug()
            else:
                twin.plug()

    def _set_heater(self, kind: FaultKind, now_s: float, on: bool) -> None:
        if kind is FaultKind.RELAY_WELDED:
            self._world.block.weld_relay(now_s, on)
        elif kind is FaultKind.SENSOR_BREAK:
            self._world.block.sensor(now_s, "broken" if on else "sound")
        else:
            self._world.block.sensor(now_s, "detached" if on else "sound")

    def _set_pump(self, fault: Fault, now_s: float, on: bool) -> None:
        syringe = self._world.syringe(fault.target)
        if fault.kind is FaultKind.PUMP_STALL:
            syringe.jam(now_s, on)
        elif fault.kind is FaultKind.SYRINGE_EMPTY and on:
            syringe.set_content(now_s, fault.extent)
        elif on:
            _known(self._points.power, "pump with a power supply", fault.target)()

    def _watch_clog(self, loop: Loop) -> None:
        """Pumps stall against a line that lets nothing through."""
        now_s = loop.time()
        if self._world.tap.pressure_kpa(now_s) >= STALL_KPA:
            for pump in self._world.network.pumps.values():
                pump.jam(now_s)
            return
        self._watch = loop.call_later(_CLOG_WATCH_S, self._watch_clog, loop)


def _known(known: Mapping[str, T], what: str, name: str) -> T:
    if name not in known:
        raise UnknownNameError(what, name, known)
    return known[name]
