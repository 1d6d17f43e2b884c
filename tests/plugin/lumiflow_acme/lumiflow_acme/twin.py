"""The pump's twin: the same protocol, with the world's syringe behind it."""

from __future__ import annotations

from collections.abc import Mapping

from lumiflow_acme.kind import AcmeConfig
from orchestrator.twins import Stage
from simulators.links import Emit, Loop, Timer
from simulators.plant import PumpPlant


class AcmeTwin:
    """One pump; a :class:`simulators.links.StreamTwin`."""

    def __init__(self, plant: PumpPlant) -> None:
        self._plant = plant
        self._loop: Loop | None = None
        self._emit: Emit | None = None
        self._timer: Timer | None = None
        self._buffer = b""
        self._running = False

    def attach(self, loop: Loop, emit: Emit) -> None:
        self._loop, self._emit, self._buffer = loop, emit, b""

    def receive(self, data: bytes) -> None:
        assert self._loop is not None
        assert self._emit is not None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._emit(self._answer(self._loop, line.decode("ascii", "replace")).encode() + b"\n")

    def _answer(self, loop: Loop, line: str) -> str:
        word, *numbers = line.split() or [""]
        if word == "RUN":
            flow, volume = (float(number) for number in numbers)
            self._drive(loop.time(), flow)
            self._timer = loop.call_later(60.0 * volume / flow, self._halt)
            return f"{flow:.6f}"
        if word == "STOP":
            self._halt()
            return "OK"
        if word == "?":
            return f"{'infusing' if self._running else 'stopped'} {self._plant.displaced_ul(loop.time()):.6f}"
        return "ACME 7" if word == "ID" else "ERROR"

    def _drive(self, t_s: float, flow_ul_min: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._running = flow_ul_min > 0.0
        self._plant.drive(t_s, flow_ul_min)

    def _halt(self) -> None:
        assert self._loop is not None
        self._drive(self._loop.time(), 0.0)


def build(stage: Stage, pumps: Mapping[str, AcmeConfig]) -> AcmeTwin:
    """The twin of the only pump on its line."""
    return AcmeTwin(stage.pump(next(iter(pumps))))
