"""Harvard Apparatus pumps on the wire: one chain behind one byte stream (PHD Ultra user guide 5419-002)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from simulators.byte_twin import ByteTwin
from simulators.links import Emit, Loop
from simulators.plant import PumpPlant
from simulators.wire_harvard_pump import HarvardMemory, HarvardPumpTwin

__all__ = ["HarvardMemory", "HarvardTwin"]

_LONGEST_COMMAND: Final = 120


class HarvardTwin(ByteTwin):
    """Pumps chained on one serial line, by address.

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
        super().__init__()
        given = memories or {}
        self._pumps = {
            address: HarvardPumpTwin(address, plant, given.get(address) or HarvardMemory(), version, self._announce)
            for address, plant in pumps.items()
        }
        self._silent_sets = silent_sets
        self._zero_is_shown = zero_is_shown

    def attach(self, loop: Loop, emit: Emit) -> None:
        """Power up at the first link; a later link finds the pumps as they are."""
        super().attach(loop, emit)
        for pump in self._pumps.values():
            pump.attach(loop)

    def power_cycle(self, address: int) -> None:
        """A blip of one pump's supply."""
        self._pumps[address].power_cycle()

    def receive(self, data: bytes) -> None:
        super().receive(data.replace(b"\n", b""))

    def _take(self) -> None:
        for line in self._lines(b"\r", _LONGEST_COMMAND):
            self._handle(line)

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
        self._emit(f"{text}\n{prefix}{pump.prompt}".encode("ascii"))
