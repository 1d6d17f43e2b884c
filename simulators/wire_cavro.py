"""Cavro syringe modules on the wire: one chain behind one byte stream (Tecan Cavro XLP 6000 manual 734237-C)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import xor
from typing import Final, Literal

from simulators.byte_twin import ByteTwin
from simulators.links import Emit, Loop
from simulators.plant import PumpPlant
from simulators.wire_cavro_pump import CavroModuleTwin

__all__ = ["CavroTwin", "SharedOutlet"]

_STX: Final = 0x02
_ETX: Final = 0x03
_CR: Final = 0x0D
_SLASH: Final = 0x2F
_INTER_BYTE_S: Final = 0.5
_LONGEST: Final = 260


class CavroTwin(ByteTwin):
    """Modules chained on one serial line, by address switch.

    Each module takes DT and OEM frames until it has seen its first one, and that framing only until its power is
    cycled. In OEM framing a damaged frame is met with silence, and a repeat of the last sequence number is answered
    again, not executed again.

    Args:
        modules: the mechanics of each module, by switch position 0 to 14.
        syringe_volume_ul: volume of a full stroke, of all modules or of each.
        fill_ul: what the syringes hold at power-up; it must be what the plants behind them hold.
        model: XLP or XCalibur.
        reactor_side: the side of the valve that leads to the plant; what is pressed out of the other one goes back to
            the reservoir and moves no plant.
        version: the answer to ``&``.
    """

    def __init__(
        self,
        modules: Mapping[int, PumpPlant],
        *,
        syringe_volume_ul: float | Mapping[int, float],
        fill_ul: float = 0.0,
        model: Literal["XLP", "XCalibur"] = "XLP",
        reactor_side: Literal["right", "left"] | Mapping[int, Literal["right", "left"]] = "right",
        version: str = "P/N: 30025099-D XLP 6000",
    ) -> None:
        if not modules or not all(0 <= address <= 14 for address in modules):
            raise ValueError(f"a chain needs modules at addresses 0 to 14, not {sorted(modules)}")
        volumes = {
            at: syringe_volume_ul[at] if isinstance(syringe_volume_ul, Mapping) else syringe_volume_ul for at in modules
        }
        sides = {at: reactor_side if isinstance(reactor_side, str) else reactor_side[at] for at in modules}
        for volume_ul in volumes.values():
            if not 0.0 <= fill_ul <= volume_ul or volume_ul <= 0.0:
                raise ValueError(f"a syringe of {volume_ul} µL cannot hold {fill_ul} µL")
        self._modules = {
            0x31 + address: CavroModuleTwin(
                plant,
                syringe_volume_ul=volumes[address],
                fill_ul=fill_ul,
                half_strokes=6000 if model == "XLP" else 3000,
                reactor_side=sides[address],
                version=version,
            )
            for address, plant in modules.items()
        }
        super().__init__()
        self._framing: dict[int, str] = {}
        self._last: dict[int, tuple[int, bytes]] = {}
        self._last_byte_s = 0.0

    def attach(self, loop: Loop, emit: Emit) -> None:
        """Power up at the first link; a later link finds the modules as they are."""
        super().attach(loop, emit)
        for module in self._modules.values():
            module.attach(loop)

    def power_cycle(self, address: int) -> None:
        """A blip of one module's supply: motion, settings and the choice of framing are lost."""
        self._modules[0x31 + address].power_cycle()
        self._framing.pop(0x31 + address, None)
        self._last.pop(0x31 + address, None)

    def jam_valve(self, address: int, jammed: bool = True) -> None:
        """The valve does not turn any more: error 10 at its next turn."""
        self._modules[0x31 + address].valve_jammed = jammed

    def receive(self, data: bytes) -> None:
        if self._buffer and self._loop.time() - self._last_byte_s > _INTER_BYTE_S:
            self._buffer.clear()
        super().receive(data)

    def _take(self) -> None:
        self._last_byte_s = self._loop.time()
        while self._take_frame():
            pass

    def _take_frame(self) -> bool:
        """Take one frame, or a byte that begins none, off the buffer; False when there is no whole one."""
        buffer = self._buffer
        if not buffer:
            return False
        if buffer[0] == _SLASH:
            end = buffer.find(_CR)
            if end < 0:
                if len(buffer) > _LONGEST:
                    buffer.clear()
                return False
            frame = bytes(buffer[1:end])
            del buffer[: end + 1]
            if len(frame) >= 1:
                self._dt(frame[0], frame[1:])
            return True
        if buffer[0] == _STX:
            end = buffer.find(_ETX, 3)
            if end < 0 or len(buffer) < end + 2:
                if len(buffer) > _LONGEST:
                    buffer.clear()
                return False
            frame = bytes(buffer[: end + 2])
            del buffer[: end + 2]
            if reduce(xor, frame[:-1]) == frame[-1] and frame[2] & 0xF0 == 0x30:
                self._oem(frame[1], frame[2], frame[3:-2])
            return True
        del buffer[0]
        return True

    def _speaks(self, address: int, framing: str) -> CavroModuleTwin | None:
        module = self._modules.get(address)
        if module is None or self._framing.setdefault(address, framing) != framing:
            return None
        return module

    def _dt(self, address: int, command: bytes) -> None:
        module = self._speaks(address, "DT")
        if module is not None:
            self._emit(b"/0%b\x03\r\n" % _answer(module, command))

    def _oem(self, address: int, stamp: int, command: bytes) -> None:
        module = self._speaks(address, "OEM")
        if module is None:
            return
        sequence, repeated = stamp & 0x07, bool(stamp & 0x08)
        last_sequence, frame = self._last.get(address, (0, b""))
        if not (repeated and sequence == last_sequence):
            body = b"\x020%b\x03" % _answer(module, command)
            frame = body + bytes((reduce(xor, body),))
            self._last[address] = sequence, frame
        self._emit(frame)


def _answer(module: CavroModuleTwin, command: bytes) -> bytes:
    """Status byte and data."""
    data = module.answer("".join(chr(byte) for byte in command if 0x20 < byte < 0x7F))
    return bytes((module.status,)) + data.encode("ascii")


class SharedOutlet:
    """Several syringes on one outlet, as plants of their own, before the one plant that takes what they give.

    The plant is driven with the sum of what the syringes press out. What they draw in comes from the reservoir and
    moves no plant, so the plant's own content must be that of the reservoir.
    """

    def __init__(self, plant: PumpPlant, count: int = 2) -> None:
        self._plant = plant
        self.flow_ul_min = 0.0
        self.shares = tuple(_Share(self) for _ in range(count))

    def drive(self, t_s: float) -> None:
        """Have the plant take the sum of the shares' flows."""
        flow_ul_min = sum(max(share.flow_ul_min, 0.0) for share in self.shares)
        if flow_ul_min != self.flow_ul_min:
            self.flow_ul_min = flow_ul_min
            self._plant.drive(t_s, flow_ul_min)

    def given_ul(self, t_s: float) -> float:
        """What the plant has taken."""
        return self._plant.displaced_ul(t_s)

    def stalled(self, t_s: float) -> bool:
        """Whether the plant takes nothing more."""
        return self._plant.stalled(t_s)


class _Share:
    """One syringe of a :class:`SharedOutlet`; a :class:`simulators.plant.PumpPlant`."""

    def __init__(self, outlet: SharedOutlet) -> None:
        self.flow_ul_min = 0.0
        self._outlet = outlet
        self._base_ul = 0.0
        self._since_s = 0.0
        self._given_ul = 0.0

    def settle(self, t_s: float) -> None:
        """Count up to now, before any share's flow changes."""
        self._base_ul = self.displaced_ul(t_s)
        self._since_s = t_s
        self._given_ul = self._outlet.given_ul(t_s)

    def drive(self, t_s: float, flow_ul_min: float) -> None:
        for share in self._outlet.shares:
            share.settle(t_s)
        self.flow_ul_min = flow_ul_min
        self._outlet.drive(t_s)

    def displaced_ul(self, t_s: float) -> float:
        if self.flow_ul_min > 0.0:
            taken_ul = self._outlet.given_ul(t_s) - self._given_ul
            return self._base_ul + taken_ul * self.flow_ul_min / self._outlet.flow_ul_min
        return self._base_ul + self.flow_ul_min * (t_s - self._since_s) / 60.0

    def stalled(self, t_s: float) -> bool:
        return self.flow_ul_min > 0.0 and self._outlet.stalled(t_s)
