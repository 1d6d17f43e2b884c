"""The pump's protocol: ``RUN <µL/min> <µL>``, ``STOP``, ``?`` (state and volume) and ``ID``, each ended by LF."""

from __future__ import annotations

from drivers import Line, Look, OutOfRangeError, ProtocolError, PumpState, PumpStatus, ReadBackError, Transport
from drivers.readings import pump_look


class AcmePump:
    """One pump on a line of its own. It stops by itself after the volume of its last order."""

    flow_range_ul_min = (0.1, 20_000.0)

    def __init__(self, line: Line, name: str = "pump") -> None:
        self._line = line
        self._opened = False
        self.name = name

    async def connect(self) -> str:
        """Open the line and be stopped. Returns the firmware."""
        await self._open()
        await self.stop()
        return await self._ask("ID")

    async def look(self) -> Look:
        """Firmware, state and volume; changes nothing."""
        await self._open()
        return pump_look(await self._ask("ID"), await self.status())

    async def infuse(self, flow_ul_min: float, volume_ul: float) -> float:
        """Be infusing at this flow, for this volume. Returns the flow read back."""
        low, high = self.flow_range_ul_min
        if not low <= flow_ul_min <= high:
            raise OutOfRangeError("flow in µL/min", low=low, high=high, device=self.name, asked=flow_ul_min)
        actual = float(await self._ask(f"RUN {flow_ul_min:.6f} {volume_ul:.6f}"))
        if abs(actual - flow_ul_min) > 0.001 * flow_ul_min:
            raise ReadBackError("another flow was set", device=self.name, asked=flow_ul_min, answered=actual)
        return actual

    async def stop(self) -> None:
        """Be stopped."""
        await self._ask("STOP")

    async def status(self) -> PumpStatus:
        """State, and volume since ``connect``."""
        state, _, volume = (await self._ask("?")).partition(" ")
        try:
            return PumpStatus(PumpState(state), float(volume), 0.0, None)
        except ValueError:
            raise ProtocolError("no status", device=self.name, answered=f"{state} {volume}") from None

    async def close(self) -> None:
        """Leave the line."""
        if self._opened:
            self._opened = False
            await self._line.close()

    async def _open(self) -> None:
        if not self._opened:
            await self._line.open()
            self._opened = True

    async def _ask(self, command: str) -> str:
        answer = await self._line.exchange(f"{command}\n".encode(), _one_line)
        return answer.decode("ascii", "replace").strip()


async def _one_line(transport: Transport, timeout_s: float) -> bytes:
    return await transport.read_until(b"\n", timeout_s)
