"""Bronkhorst mass flow controllers over ProPar, ASCII form (38400 baud 8N1).

The maker's package reads the port from threads of its own that run by the wall clock, so it can sit neither on a
shared line nor in virtual time; the few messages that are needed here are in :mod:`drivers.propar`.
"""

from __future__ import annotations

import math
from typing import Final

from drivers.errors import (
    DriverError,
    NotConnectedError,
    OutOfRangeError,
    ProtocolError,
    ReadBackError,
    RefusedError,
    WireTimeoutError,
)
from drivers.gas import GasReading, from_normal, gas_look, must_be_within_capacity, to_normal
from drivers.line_device import LineDevice
from drivers.propar import (
    CAPACITY,
    CAPACITY_UNIT,
    CONTROL_MODE,
    FLUID_NAME,
    MEASURE,
    SERIAL_NUMBER,
    SET_POINT,
    TEMPERATURE,
    Parameter,
    Value,
    check_status,
    decode_frame,
    decode_value,
    encode_read,
    encode_write,
)
from drivers.readings import Look
from drivers.transport import Line, Transport

FULL_SCALE_COUNTS: Final = 32000
"""Measure and set-point at 100 % of the capacity."""
_NEGATIVE_FROM: Final = 41943
"""A measure of 41943 to 65535 is -23593 to -1: the instrument sees flow the other way."""
_FROM_THE_BUS: Final = {0, 18}
"""Control modes in which the set-point comes over the bus or RS232."""
_UNITS: Final = {
    "mln/min": (1.0, 0.0),
    "ln/min": (1000.0, 0.0),
    "mls/min": (1.0, 20.0),
    "ls/min": (1000.0, 20.0),
}
"""Millilitres per unit and reference temperature in °C: n for normal, s for standard."""


class BronkhorstController(LineDevice):
    """One controller. Each question carries an index that returns with its answer, so a late answer is recognised.

    ``connect`` reads capacity, unit, gas and control mode and changes nothing; RefusedError where the set-point does
    not come over the line, the gas is another one, or the capacity is no gas volume.

    Assumed: control modes 0 and 18 take the set-point from the line, as the maker's parameter list says.

    Args:
        line: the serial line.
        node: ProPar address, 1 to 128; 128 is whoever is at the other end of an RS232 line.
        fluid: the gas the instrument must be set to, as it spells it, or None for any.
        name: the device's name in messages.
    """

    def __init__(self, line: Line, node: int = 0x80, *, fluid: str | None = None, name: str = "gas") -> None:
        if not 1 <= node <= 0x80:
            raise OutOfRangeError("ProPar node", low=1, high=0x80, device=name, asked=node)
        super().__init__(line, name)
        self._line = line
        self._node = node
        self._fluid = fluid
        self._index = 0
        self._gas = ""
        self._full_scale_ml_min = 0.0
        self._reference_c = 0.0

    @property
    def flow_range_mln_min(self) -> tuple[float, float]:
        """Lowest and highest set-point in normal mL/min. Raises NotConnectedError before ``connect``."""
        if self._full_scale_ml_min <= 0.0:
            raise NotConnectedError("the capacity is not known yet", device=self._name, port=self._line.name)
        return 0.0, to_normal(self._full_scale_ml_min, self._reference_c)

    async def _meet(self) -> str:
        serial_number = str(await self._get(SERIAL_NUMBER))
        capacity = float(await self._get(CAPACITY))
        unit = str(await self._get(CAPACITY_UNIT)).strip()
        gas = str(await self._get(FLUID_NAME)).strip()
        mode = await self._get(CONTROL_MODE)
        if unit not in _UNITS:
            raise self._fault(RefusedError, f"only {', '.join(_UNITS)} are understood", "capacity unit", unit)
        if not (math.isfinite(capacity) and capacity > 0):
            raise self._fault(ProtocolError, "the capacity makes no sense", "capacity", capacity)
        if mode not in _FROM_THE_BUS:
            raise self._fault(RefusedError, "the set-point does not come over the line", "control mode", mode)
        if self._fluid is not None and gas != self._fluid:
            raise self._fault(RefusedError, "the instrument is set to another gas", self._fluid, gas)
        per_unit_ml, self._reference_c = _UNITS[unit]
        self._full_scale_ml_min = capacity * per_unit_ml
        self._gas = gas
        return f"Bronkhorst {serial_number}, {gas}, 0 to {capacity:g} {unit}"

    async def look(self) -> Look:
        """Who it is, its state and reading; changes nothing. Before ``connect`` the line is left again afterwards."""
        async with self._visiting():
            return gas_look(await self._meet(), await self.read())

    async def set_flow(self, flow_mln_min: float) -> float:
        """Be controlling at this flow, in normal mL/min; returns the set-point read back.

        The set-point has 32000 steps. Raises OutOfRangeError, ReadBackError, RefusedError.
        """
        must_be_within_capacity(flow_mln_min, self.flow_range_mln_min, device=self._name, port=self._line.name)
        fraction = from_normal(flow_mln_min, self._reference_c) / self._full_scale_ml_min
        counts = min(round(fraction * FULL_SCALE_COUNTS), FULL_SCALE_COUNTS)
        answer: Value = ""
        for _ in range(2):
            await self._put(SET_POINT, counts)
            answer = await self._get(SET_POINT)
            if answer == counts:
                return self._flow(counts)
        raise self._fault(ReadBackError, "the set-point did not take", f"{counts} of {FULL_SCALE_COUNTS}", answer)

    async def read(self) -> GasReading:
        """Flow, set-point and temperature. Raises NotConnectedError before ``connect``."""
        self.flow_range_mln_min  # noqa: B018 - raises while the capacity is unknown
        measure = int(await self._get(MEASURE))
        return GasReading(
            flow_mln_min=self._flow(measure - 0x10000 if measure >= _NEGATIVE_FROM else measure),
            set_point_mln_min=self._flow(int(await self._get(SET_POINT))),
            temperature_c=float(await self._get(TEMPERATURE)),
            pressure_kpa=math.nan,
            gas=self._gas,
        )

    async def stop(self) -> None:
        """Be at set-point 0, verified: the valve is closed."""
        await self.set_flow(0.0)

    def _flow(self, counts: int) -> float:
        return to_normal(counts / FULL_SCALE_COUNTS * self._full_scale_ml_min, self._reference_c)

    async def _get(self, parameter: Parameter) -> Value:
        asked = f"read process {parameter.process} parameter {parameter.number}"
        failure: DriverError | None = None
        for _ in range(2):
            self._index = self._index % 31 + 1
            try:
                answer = await self._exchange(encode_read(self._node, parameter, self._index))
                return decode_value(decode_frame(answer, self._node), parameter, self._index)
            except (WireTimeoutError, ProtocolError) as error:
                failure = self._fault(type(error), error.message, asked, error.answered)
            except RefusedError as error:
                raise self._fault(RefusedError, error.message, asked, error.answered) from error
        assert failure is not None
        raise failure

    async def _put(self, parameter: Parameter, value: int) -> None:
        """Write; every value is absolute, so a write whose answer was lost is sent again."""
        asked = f"write process {parameter.process} parameter {parameter.number} = {value}"
        failure: DriverError | None = None
        for _ in range(2):
            try:
                check_status(decode_frame(await self._exchange(encode_write(self._node, parameter, value)), self._node))
            except (WireTimeoutError, ProtocolError) as error:
                failure = self._fault(type(error), error.message, asked, error.answered)
            except RefusedError as error:
                raise self._fault(RefusedError, error.message, asked, error.answered) from error
            else:
                return
        assert failure is not None
        raise failure

    async def _exchange(self, request: bytes) -> bytes:
        return await self._line.exchange(request, _one_line, device=self._name)


async def _one_line(transport: Transport, timeout_s: float) -> bytes:
    return await transport.read_until(b"\n", timeout_s)
