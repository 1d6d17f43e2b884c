"""Registers of a temperature controller on a Modbus line: single words, scaled integers and float pairs."""

from __future__ import annotations

import struct
from typing import Literal

from drivers.errors import OutOfRangeError
from drivers.heater_base import LastingHeater
from drivers.modbus import ModbusBus

WordOrder = Literal["high first", "low first"]


def float_words(value: float, order: WordOrder) -> list[int]:
    """An IEEE single as two registers."""
    words = list(struct.unpack(">2H", struct.pack(">f", value)))
    return words if order == "high first" else words[::-1]


def words_float(words: list[int], order: WordOrder) -> float:
    """Two registers as an IEEE single."""
    high, low = words if order == "high first" else words[::-1]
    return float(struct.unpack(">f", struct.pack(">2H", high, low))[0])


def signed(word: int) -> int:
    """A register as a two's complement integer."""
    return word - 0x10000 if word >= 0x8000 else word


def scaled_word(temperature_c: float, decimals: int, *, device: str, port: str) -> int:
    """A temperature as a register with so many decimals holds it. Raises OutOfRangeError for one that does not fit."""
    value = round(temperature_c * 10.0**decimals)
    if not -0x8000 <= value <= 0x7FFF:
        raise OutOfRangeError(
            f"{temperature_c:g} °C does not fit a register with {decimals} decimals",
            low=-0x8000 / 10.0**decimals,
            high=0x7FFF / 10.0**decimals,
            device=device,
            port=port,
            asked=temperature_c,
        )
    return value & 0xFFFF


class ModbusHeater(LastingHeater):
    """A controller at one Modbus address, 1 to 247."""

    def __init__(
        self,
        bus: ModbusBus,
        unit: int,
        *,
        set_point_range_c: tuple[float, float],
        safe_set_point_c: float,
        resolution_c: float,
        name: str,
    ) -> None:
        if not 1 <= unit <= 247:
            raise OutOfRangeError("Modbus unit", low=1, high=247, device=name, asked=unit)
        super().__init__(
            bus,
            set_point_range_c=set_point_range_c,
            safe_set_point_c=safe_set_point_c,
            resolution_c=resolution_c,
            name=name,
        )
        self._bus = bus
        self._unit = unit

    async def _words(self, register: int, count: int = 1) -> list[int]:
        return await self._bus.read_holding(self._unit, register, count, device=self._name)

    async def _float(self, register: int, order: WordOrder) -> float:
        return words_float(await self._words(register, 2), order)

    async def _write_words(self, register: int, words: list[int]) -> None:
        await self._bus.write(self._unit, register, words, device=self._name)

    async def _set_choice(self, register: int, choice: int, words: dict[int, str], *, surely: bool = False) -> None:
        """Be set to ``choice``: written only where it differs, then read back. ``words`` names the choices.

        ``surely``: written whatever is read. An answer to a read does not say what it answers, and a stale one may say
        "off" of a heater that is on; the answer to a write bears register and value.
        """
        if not surely and (await self._words(register))[0] == choice:
            return
        await self._write_words(register, [choice])
        answer = (await self._words(register))[0]
        if answer != choice:
            raise self._mismatch(words[choice], words.get(answer, f"{answer} in register {register}"))
