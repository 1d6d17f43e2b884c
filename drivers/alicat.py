"""Alicat mass flow controllers, alone or chained on one serial line (19200 baud 8N1)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Literal

from drivers.errors import (
    DeviceAlarmError,
    DriverError,
    OutOfRangeError,
    ProtocolError,
    ReadBackError,
    RefusedError,
    WireTimeoutError,
)
from drivers.gas import GasReading, from_normal, gas_look, must_be_within_capacity, to_normal
from drivers.line_device import LineDevice
from drivers.readings import Look
from drivers.transport import Line, Transport

STATUS_WORDS: Final = {
    "ADC": "internal communication error",
    "EXH": "exhaust valve open",
    "HLD": "valve held",
    "LCK": "front panel locked",
    "MOV": "mass flow over range",
    "OPL": "over-pressure limit",
    "OVR": "totalizer rolled over",
    "POV": "pressure over range",
    "TMF": "totalizer missed flow",
    "TOV": "temperature over range",
    "VOV": "volume flow over range",
    "VTM": "valve thermal management",
}
"""Codes at the end of a data frame, Alicat serial communications primer."""
_NOT_A_FAULT: Final = {"LCK"}
_ML_MIN: Final = {"SCCM": 1.0, "SLPM": 1000.0}
_KPA: Final = {"PSIA": 6.894757293168361, "kPaA": 1.0, "barA": 100.0}
_MASS_FLOW_LOOP: Final = 37
_LET_GO: Final = "C"
"""Cancels a hold of the valve, be it as it was (HP) or closed (HC)."""
_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.(\d+))?")


@dataclass(frozen=True)
class AlicatFrame:
    """One data frame in the instrument's own units; ``decimals`` are those of the set-point."""

    pressure: float
    temperature_c: float
    volume_flow: float
    mass_flow: float
    set_point: float
    decimals: int
    gas: str
    codes: tuple[str, ...]


def parse_frame(line: bytes, unit: str) -> AlicatFrame:
    """Take ``A +014.70 +025.00 +15.444 +15.444 +15.444 N2`` apart; valve drive and totalizer may follow the set-point.

    Raises ProtocolError on anything else and on another unit's frame, RefusedError for ``?``.
    """
    try:
        words = line.decode("ascii").split()
    except UnicodeDecodeError:
        raise ProtocolError("the answer is not ASCII", answered=line) from None
    if words in (["?"], [unit, "?"]):
        raise RefusedError("the instrument does not know the command", answered=line)
    if not words or words[0] != unit:
        raise ProtocolError(f"the answer is not unit {unit}'s", answered=line)
    numbers = [match for match in (_NUMBER.fullmatch(word) for word in words[1:8]) if match is not None]
    rest = words[1 + len(numbers) :]
    if len(numbers) not in {5, 6, 7} or not rest or any(_NUMBER.fullmatch(word) for word in rest):
        raise ProtocolError("the answer is not a controller's data frame", answered=line)
    gas, *codes = rest
    unknown = [code for code in codes if code not in STATUS_WORDS]
    if unknown or not gas.isprintable():
        raise ProtocolError(f"unknown status {' '.join(unknown)}", answered=line)
    pressure, temperature_c, volume_flow, mass_flow, set_point = (float(match[0]) for match in numbers[:5])
    decimals = len(numbers[4][1] or "")
    return AlicatFrame(pressure, temperature_c, volume_flow, mass_flow, set_point, decimals, gas, tuple(codes))


class AlicatController(LineDevice):
    """One controller. A set-point is written in the digits of its display, and read back in a fresh data frame.

    ``connect`` reads the controller and changes nothing; RefusedError when it controls something else than mass flow,
    or another gas. The protocol has no checksum, so a set-point that reads back wrong is written once more before
    ReadBackError is raised.

    Assumed: the reference temperature of the mass flow is the factory's 25 °C unless given, the pressure is
    absolute, and register 122 names the controlled variable (37 for mass flow) where the firmware shows it.

    Args:
        line: the serial line, shared by controllers with different unit IDs.
        unit: A to Z.
        full_scale: largest flow, in ``flow_unit``.
        flow_unit: what the display shows, "SCCM" or "SLPM".
        pressure_unit: what the display shows.
        reference_temperature_c: of the display's standard volume.
        gas: the gas the controller must be set to, as the frame spells it, or None for any.
        name: the device's name in messages.
    """

    def __init__(
        self,
        line: Line,
        unit: str = "A",
        *,
        full_scale: float,
        flow_unit: Literal["SCCM", "SLPM"] = "SCCM",
        pressure_unit: Literal["PSIA", "kPaA", "barA"] = "PSIA",
        reference_temperature_c: float = 25.0,
        gas: str | None = None,
        name: str = "gas",
    ) -> None:
        if re.fullmatch(r"[A-Z]", unit) is None:
            raise ValueError(f"{name}: a unit ID is A to Z, not {unit!r}")
        if not (math.isfinite(full_scale) and full_scale > 0):
            raise OutOfRangeError("full scale", low=0, high=math.inf, device=name, asked=full_scale)
        if not -50.0 <= reference_temperature_c <= 100.0:
            raise OutOfRangeError(
                "reference temperature in °C", low=-50, high=100, device=name, asked=reference_temperature_c
            )
        super().__init__(line, name)
        self._line = line
        self._unit = unit
        self._full_scale = full_scale
        self._ml_min = _ML_MIN[flow_unit]
        self._flow_unit = flow_unit
        self._kpa = _KPA[pressure_unit]
        self._reference_c = reference_temperature_c
        self._gas = gas

    @property
    def flow_range_mln_min(self) -> tuple[float, float]:
        """Lowest and highest set-point, in normal mL/min."""
        return 0.0, self._to_normal(self._full_scale)

    async def _meet(self) -> str:
        frame = await self._frame("")
        if self._gas is not None and frame.gas != self._gas:
            raise self._fault(RefusedError, "the controller is set to another gas", self._gas, frame.gas)
        loop = re.search(r"\b122\s*=\s*(\d+)", await self._text("R122"))
        if loop is not None and int(loop[1]) != _MASS_FLOW_LOOP:
            raise self._fault(RefusedError, "the controller does not control mass flow", "R122", loop[0])
        firmware = (await self._text("VE")).strip()
        version = firmware.removeprefix(self._unit).strip().removeprefix("?")
        return (
            f"Alicat unit {self._unit}, {frame.gas}, 0 to {self._full_scale:g} {self._flow_unit}"
            f"{', firmware ' + version if version else ''}"
        )

    async def look(self) -> Look:
        """Who it is, its state and reading; changes nothing. Before ``connect`` the line is left again afterwards."""
        async with self._visiting():
            return gas_look(await self._meet(), await self.read())

    async def set_flow(self, flow_mln_min: float) -> float:
        """Be controlling at this flow, in normal mL/min; returns the set-point read back.

        Raises OutOfRangeError, ReadBackError, RefusedError for another gas, DeviceAlarmError while the valve is held.
        """
        must_be_within_capacity(flow_mln_min, self.flow_range_mln_min, device=self._name, port=self._line.name)
        frame = await self._frame("")
        if self._gas is not None and frame.gas != self._gas:
            raise self._fault(RefusedError, "the controller is set to another gas", self._gas, frame.gas)
        if "HLD" in frame.codes:
            raise self._held(flow_mln_min)
        return await self._put_set_point(flow_mln_min, frame)

    async def _put_set_point(self, flow_mln_min: float, frame: AlicatFrame) -> float:
        wanted = min(from_normal(flow_mln_min, self._reference_c) / self._ml_min, self._full_scale)
        digits = f"{wanted:.{frame.decimals}f}"
        tolerance = 0.5 * 10.0**-frame.decimals + 1e-9
        for _ in range(2):
            await self._text(f"S {digits}")
            frame = await self._frame("")
            if abs(frame.set_point - wanted) <= tolerance:
                return self._to_normal(frame.set_point)
        raise self._fault(ReadBackError, "the set-point did not take", f"S {digits}", frame.set_point)

    async def read(self) -> GasReading:
        """Flow, set-point, temperature, pressure, gas and complaints, in one exchange."""
        frame = await self._frame("")
        faults = [STATUS_WORDS[code] for code in frame.codes if code not in _NOT_A_FAULT]
        if self._gas is not None and frame.gas != self._gas:
            faults.append(f"set to {frame.gas}, not {self._gas}")
        return GasReading(
            flow_mln_min=self._to_normal(frame.mass_flow),
            set_point_mln_min=self._to_normal(frame.set_point),
            temperature_c=frame.temperature_c,
            pressure_kpa=frame.pressure * self._kpa,
            gas=frame.gas,
            faults=tuple(faults),
        )

    async def stop(self) -> None:
        """Be at set-point 0, verified: the valve is closed. One that is held is let go once its set-point is 0.

        Raises ReadBackError, DeviceAlarmError where the valve stays held.
        """
        frame = await self._frame("")
        await self._put_set_point(0.0, frame)
        if "HLD" in frame.codes:
            await self._text(_LET_GO)
            if "HLD" in (await self._frame("")).codes:
                raise self._held(0.0)

    def _held(self, flow_mln_min: float) -> DeviceAlarmError:
        return DeviceAlarmError(
            "the valve is held, no set-point moves it",
            alarm=STATUS_WORDS["HLD"],
            device=self._name,
            port=self._line.name,
            asked=flow_mln_min,
        )

    def _to_normal(self, display: float) -> float:
        return to_normal(display * self._ml_min, self._reference_c)

    async def _frame(self, command: str) -> AlicatFrame:
        failure: DriverError | None = None
        for _ in range(2):
            try:
                return parse_frame(await self._exchange(command), self._unit)
            except (WireTimeoutError, ProtocolError, RefusedError) as error:
                failure = self._fault(type(error), error.message, self._unit + command, error.answered)
        assert failure is not None
        raise failure

    async def _text(self, command: str) -> str:
        """Any answer; a set-point is absolute, so a command whose answer was lost is sent again."""
        failure: DriverError | None = None
        for _ in range(2):
            try:
                return (await self._exchange(command)).decode("ascii", "replace")
            except WireTimeoutError as error:
                failure = self._fault(WireTimeoutError, error.message, self._unit + command, error.answered)
        assert failure is not None
        raise failure

    async def _exchange(self, command: str) -> bytes:
        return await self._line.exchange(f"{self._unit}{command}\r".encode("ascii"), _one_line, device=self._name)


async def _one_line(transport: Transport, timeout_s: float) -> bytes:
    return await transport.read_until(b"\r", timeout_s)
