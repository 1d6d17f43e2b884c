"""What every device on a line has in common: how the line is joined and left, and errors that name both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from drivers.errors import DriverError


class Port(Protocol):
    """A :class:`drivers.modbus.ModbusBus` or a :class:`drivers.transport.Line`."""

    @property
    def name(self) -> str: ...

    async def open(self, device: str = "") -> None: ...

    async def close(self) -> None: ...


class LineDevice(ABC):
    """A device on a line that it may share with others.

    The line is joined once however often ``connect`` is called, and is open until the last that joined it has left.

    Args:
        port: the line.
        name: the device's name in messages.
    """

    def __init__(self, port: Port, name: str) -> None:
        self._port = port
        self._name = name
        self._joined = False

    @property
    def name(self) -> str:
        """The device's name."""
        return self._name

    async def connect(self) -> str:
        """Open the line and meet the device; what is done to it then, its class says. Returns a description.

        Raises DriverError, and the line is left again, where the device does not answer or is not what was expected.
        """
        await self._join()
        try:
            return await self._meet()
        except BaseException:
            await self._leave()
            raise

    async def close(self) -> None:
        """Leave the line; the device goes on as it is."""
        await self._leave()

    @abstractmethod
    async def _meet(self) -> str:
        """Who answers, in words, on a line that is open."""

    @asynccontextmanager
    async def _visiting(self) -> AsyncIterator[bool]:
        """Be on the line for a look: one that was not joined before is left afterwards. Says whether it had been."""
        before = self._joined
        try:
            await self._join()
            yield before
        finally:
            if not before:
                await self._leave()

    async def _join(self) -> None:
        if not self._joined:
            await self._port.open(self._name)
            self._joined = True

    async def _leave(self) -> None:
        if self._joined:
            self._joined = False
            await self._port.close()

    def _fault(self, kind: type[DriverError], message: str, asked: object, answered: object) -> DriverError:
        return kind(message, device=self._name, port=self._port.name, asked=asked, answered=answered)
