"""One channel of an analogue input module on a Modbus line: what the sensors behind such modules have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic, Literal, TypeVar

from drivers.errors import OutOfRangeError
from drivers.line_device import LineDevice
from drivers.modbus import ModbusBus
from drivers.readings import Look

R = TypeVar("R")


class ModbusInput(LineDevice, Generic[R]):
    """A sensor whose signal stands in one register of a module, read as an R; once by ``connect``.

    Args:
        bus: the line, shared with other devices.
        unit: Modbus address of the module, 1 to 254.
        register: 0-based register of the channel, 0 to 65535.
        kind: whether the channel is an input or a holding register.
        name: the device's name in messages.
    """

    def __init__(
        self, bus: ModbusBus, unit: int, *, register: int, kind: Literal["input", "holding"], name: str
    ) -> None:
        if not 1 <= unit <= 254:
            raise OutOfRangeError("Modbus unit", low=1, high=254, device=name, asked=unit)
        if not 0 <= register <= 0xFFFF:
            raise OutOfRangeError("register", low=0, high=0xFFFF, device=name, asked=register)
        super().__init__(bus, name)
        self._bus = bus
        self._unit = unit
        self._register = register
        self._kind = kind

    async def _meet(self) -> str:
        await self.read()
        return f"{self._described()}, unit {self._unit}, register {self._register}"

    async def look(self) -> Look:
        """Who it is, its state and reading; changes nothing. Before ``connect`` the line is left again afterwards."""
        async with self._visiting():
            return Look(await self._meet(), *self._in_words(await self.read()))

    @abstractmethod
    async def read(self) -> R:
        """What the sensor sees now. Raises DriverError."""

    @abstractmethod
    def _described(self) -> str:
        """What it is and how its signal is taken, in words."""

    @abstractmethod
    def _in_words(self, reading: R) -> tuple[str, str]:
        """The signal, and what it means."""

    async def _word(self) -> int:
        """The register as it stands, 0 to 65535."""
        read = self._bus.read_input if self._kind == "input" else self._bus.read_holding
        return (await read(self._unit, self._register, 1, device=self._name))[0]
