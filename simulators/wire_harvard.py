"""Harvard Apparatus pumps on the wire: one chain behind one byte stream (PHD Ultra user guide 5419-002)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from simulators.links import Emit, Loop
from simulators.plant import PumpPlant
from simulators.wire_harvard_pump import HarvardMemory, HarvardPumpTwin

__all__ = ["HarvardMemory", "HarvardTwin"]

_LONGEST_COMMAND: Final = 120


class HarvardTwin:
    """Pumps chained on one serial line, by address; a :class:`simulators.links.StreamTwin`.

    A pump answers what carries its address before a colon (none means 0), with ``<LF>[nn:]text<CR>`` lines and the
    prompt ``<LF>[nn]prompt``.

    Assumed: two digits stand before every line of a pump at an address above 0; a pump that reaches its target says
    its prompt unasked.

    Args:
        pumps: the mechanics of each pump, by address 0 to 99.
        memories: what their non-volatile memories hold, by address; factory settings where absent.
        version: the answer to ``ver``.
        silent_sets: pumps above 0 answer nothing to a command that only sets or clears, as has been seen.
        zero_is_shown: the pump at 0 shows its address too, as an 11 Elite does.
    """

    def __init__(
        self,
        pumps: Mapping[int, PumpPlant],
        *,
        memories: Mapping[int, HarvardMemory] | None = None,
        version: str = "PHD ULTRA I/W PROGRAMMABLE 3.0.6",
        silent_sets: bool = False,
        zero_is_shown: bool = False,
    ) -> None:
        if not pumps or not all(0 <= address <= 99 for address in pumps):
            raise ValueError(f"a chain needs pumps at addresses 0 to 99, not {sorted(pumps)}")
        given = memories or {}
        self._pumps = {
            address: HarvardPumpTwin(address, plant, given.get(address) or HarvardMemory(), version, self._announce)
            for address, plant in pumps.items()
        }
        self._silent_sets = silent_sets
        self._zero_is_shown = zero_is_shown
        self._emit: Emit | None = None
        self._buffer = bytearray()

    def attach(self, loop: Loop, emit: Emit) -> None:
        """Power up at the first link; a later link finds the pumps as they are."""
        self._emit = emit
        self._buffer.clear()
        for pump in self._pumps.values():
            pump.attach(loop)

    def power_cycle(self, address: int) -> None:
        """A blip of one pump's supply."""
        self._pumps[address].power_cycle()

    def receive(self, data: bytes) -> None:
        if self._emit is None:
            raise RuntimeError("the twin is not attached to a link")
        self._buffer += data.replace(b"\n", b"")
        while (end := self._buffer.find(b"\r")) >= 0:
            command = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._handle(command)
        if len(self._buffer) > _LONGEST_COMMAND:
            self._buffer.clear()

    def _handle(self, data: bytes) -> None:
        text = "".join(chr(byte) for byte in data if 0x20 <= byte < 0x7F).strip()
        match = re.match(r"(\d{1,2}):?", text)
        address = int(match[1]) if match else 0
        pump = self._pumps.get(address)
        if pump is None:
            return
        lines = pump.answer(text[match.end() :].strip() if match else text)
        if lines or not (self._silent_sets and address > 0 and pump.last_was_a_set):
            self._say(pump, lines)

    def _announce(self, pump: HarvardPumpTwin) -> None:
        self._say(pump, [])

    def _say(self, pump: HarvardPumpTwin, lines: list[str]) -> None:
        prefix = f"{pump.address:02d}" if pump.address or self._zero_is_shown else ""
        colon = ":" if prefix else ""
        text = "".join(f"\n{prefix}{colon}{line}\r" for line in lines)
        if self._emit is not None:
            self._emit(f"{text}\n{prefix}{pump.prompt}".encode("ascii"))
