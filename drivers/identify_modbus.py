"""Questions that change nothing, for :mod:`drivers.identify`: which controller is a Modbus unit, by its registers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from drivers.errors import DriverError, NotConnectedError, PortError, RefusedError
from drivers.modbus import ModbusBus
from drivers.modbus_heater import WordOrder, signed, words_float
from drivers.readings import Found

Words = Callable[[int, int], Awaitable[list[int] | None]]
"""Holding registers from an address on, or None where the unit refuses them."""

_COLDEST_C: Final = -300.0
_HOTTEST_C: Final = 3000.0
_SMALLEST: Final = 1e-3
_FLOAT_BASE: Final = 0x8000


async def modbus_unit(bus: ModbusBus, unit: int) -> Found | None:
    """What answers at ``unit``; None for silence and for answers that are no Modbus.

    Function 3 (read holding registers) only. A refusal is an answer too: somebody is there. Raises PortError.
    """

    async def words(register: int, count: int = 1) -> list[int] | None:
        try:
            return await bus.read_holding(unit, register, count)
        except RefusedError:
            return None

    try:
        first = await words(1)
        for controller in (_watlow, _omega, _eurotherm, _nanodac, _novus):
            if (found := await controller(words, unit)) is not None:
                return found
    except (PortError, NotConnectedError):
        raise
    except DriverError:
        return None
    reading = "holding register 1 is refused" if first is None else f"holding register 1 = {first[0]}"
    return Found("modbus", str(unit), "a unit whose registers are no known controller's", "answers", reading)


async def _watlow(words: Words, unit: int) -> Found | None:
    """2490 is 15 (°C) or 30 (°F), 1880 a control mode, 360 a float with an input error behind it."""
    scale, mode, process = await words(2490, 1), await words(1880, 1), await words(360, 4)
    modes = {62: "off", 10: "automatic", 54: "manual"}
    if scale is None or mode is None or process is None or scale[0] not in (15, 30) or mode[0] not in modes:
        return None
    orders: tuple[WordOrder, ...] = ("low first", "high first")
    value = next((text for order in orders if (text := _sane(words_float(process[:2], order)))), "")
    degree = "°C" if scale[0] == 15 else "°F"
    reading = f"{value} {degree}" if value and process[2] == 61 else "input error"
    return Found("watlow", str(unit), f"Watlow PM, {degree}", modes[mode[0]], reading)


async def _omega(words: Words, unit: int) -> Found | None:
    """576 is a state from 0 to 12; 528 and 544 are floats that a temperature could be."""
    state, process, set_point = await words(576, 1), await words(528, 2), await words(544, 2)
    if state is None or process is None or set_point is None or state[0] > 12:
        return None
    value = _sane(words_float(process, "high first"))
    wanted = _sane(words_float(set_point, "high first"))
    if not value or not wanted:
        return None
    states = {6: "run", 7: "standby", 8: "stop", 10: "fault"}
    state_text = states.get(state[0], f"state {state[0]}")
    return Found("omega", str(unit), "Omega Platinum", f"{state_text}, set-point {wanted} °C", f"{value} °C")


async def _eurotherm(words: Words, unit: int) -> Found | None:
    """Integers at 1 to 5 whose IEEE mirror at 0x8000 + 2n says the same at 0 to 3 decimals."""
    block, mirror, status = await words(1, 5), await words(_FLOAT_BASE + 2, 2), await words(75, 1)
    if block is None or mirror is None or status is None:
        return None
    process_c = words_float(mirror, "high first")
    agrees = any(abs(process_c * 10**digits - signed(block[0])) <= 1.0 for digits in range(4))
    if not _sane(process_c) or not agrees:
        return None
    working = await words(_FLOAT_BASE + 10, 2)
    set_point = f"set-point {words_float(working, 'high first'):g} °C" if working is not None else ""
    loop = await words(273, 1)
    mode = "" if loop is None else {0: "automatic, ", 1: "manual, "}.get(loop[0], "")
    alarm = ", sensor break" if status[0] & 1 << 5 else ""
    return Found("eurotherm", str(unit), "Eurotherm 2400/3200", mode + set_point + alarm, f"{process_c:g} °C")


async def _nanodac(words: Words, unit: int) -> Found | None:
    """Loop 1 begins at 512: process value, automatic (0) or manual (1), target, working set-point, in tenths."""
    loop = await words(512, 5)
    if loop is None or loop[1] not in (0, 1) or not _COLDEST_C <= signed(loop[0]) / 10.0 <= _HOTTEST_C:
        return None
    mode = ("automatic", "manual")[loop[1]]
    target_c, process_c = signed(loop[2]) / 10.0, signed(loop[0]) / 10.0
    return Found("nanodac", str(unit), "Eurotherm nanodac", f"{mode}, set-point {target_c:g} °C", f"{process_c:g} °C")


async def _novus(words: Words, unit: int) -> Found | None:
    """30 is a position of the decimal point, 46 and 47 are switches, 0 to 10 can be read in one piece."""
    block, point, automatic, run = await words(0, 11), await words(30, 1), await words(46, 1), await words(47, 1)
    if block is None or point is None or automatic is None or run is None:
        return None
    if point[0] > 3 or automatic[0] > 1 or run[0] > 1:
        return None
    scale = 10.0 ** (3 - point[0])
    state = f"{'control enabled' if run[0] else 'control disabled'}, set-point {signed(block[0]) / scale:g} °C"
    return Found("novus", str(unit), "Novus N1100/N2000", state, f"{signed(block[1]) / scale:g} °C")


def _sane(value: float) -> str:
    """The value where a temperature could be it, else ""."""
    possible = value == 0.0 or (_COLDEST_C <= value <= _HOTTEST_C and abs(value) >= _SMALLEST)
    return f"{value:g}" if possible else ""
