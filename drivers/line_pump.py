"""What syringe pumps with an address on a serial line have in common, whatever their make."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Final

from drivers.errors import DeviceAlarmError, OutOfRangeError, brought_within
from drivers.line_device import LineDevice
from drivers.readings import PumpStatus
from drivers.transport import Line

MIN_DIAMETER_MM: Final = 0.1
END_SLACK: Final = 0.002
"""A flow beyond an end by this share is set to that end: a pump tells its limits, or takes its diameter, with few
digits, and so has ends of its own beside those of the syringe and of the data sheet."""


class LinePump(LineDevice):
    """A syringe pump on a line.

    Args:
        line: the serial line, shared by the pumps chained on it.
        address: 0 to 99.
        diameter_mm: inner diameter of the syringe.
        max_volume_ul: largest volume of one infusion (the syringe's), or None.
        max_diameter_mm: of the widest syringe that the pump takes.
        name: the device's name in messages.
    """

    def __init__(
        self,
        line: Line,
        address: int,
        diameter_mm: float,
        max_volume_ul: float | None,
        *,
        max_diameter_mm: float,
        name: str,
    ) -> None:
        if not 0 <= address <= 99:
            raise OutOfRangeError("pump address", low=0, high=99, device=name, asked=address)
        if not MIN_DIAMETER_MM <= diameter_mm <= max_diameter_mm:
            raise OutOfRangeError(
                "syringe diameter in mm", low=MIN_DIAMETER_MM, high=max_diameter_mm, device=name, asked=diameter_mm
            )
        if max_volume_ul is not None and not (math.isfinite(max_volume_ul) and max_volume_ul > 0):
            raise OutOfRangeError("syringe volume in µL", low=0, high=math.inf, device=name, asked=max_volume_ul)
        super().__init__(line, name)
        self._line = line
        self._diameter_mm = diameter_mm
        self._max_volume_ul = max_volume_ul

    @property
    @abstractmethod
    def flow_range_ul_min(self) -> tuple[float, float]:
        """Slowest and fastest flow."""

    def _checked_flow(self, flow_ul_min: float) -> float:
        (low, high), port = self.flow_range_ul_min, self._line.name
        return brought_within("flow", flow_ul_min, low, high, "µL/min", slack=END_SLACK, device=self._name, port=port)

    def _unalarmed(self, status: PumpStatus, verb: str) -> PumpStatus:
        """The status, for a verb that no alarm may precede. Raises DeviceAlarmError."""
        if status.alarm is not None:
            raise DeviceAlarmError(
                f"the pump reports an alarm: {status.alarm}",
                alarm=status.alarm,
                device=self._name,
                port=self._line.name,
                asked=verb,
            )
        return status
