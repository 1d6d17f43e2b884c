"""Pressure transmitters, each a 4-20 mA channel of a :class:`simulators.wire_phase.InputModuleTwin`."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.plant import PressurePlant


@dataclass
class PressureChannel:
    """A transmitter: 4 mA at ``low_kpa``, 20 mA at ``high_kpa``. ``broken`` cuts its wire."""

    plant: PressurePlant
    low_kpa: float = 0.0
    high_kpa: float = 1000.0
    broken: bool = False

    def __post_init__(self) -> None:
        if not self.low_kpa < self.high_kpa:
            raise ValueError(f"the pressure range {self.low_kpa} to {self.high_kpa} kPa is empty")

    def current_ua(self, t_s: float) -> int:
        """Loop current in µA, held at the 3.8 and 20.5 mA that a live transmitter keeps to (NAMUR NE 43)."""
        if self.broken:
            return 0
        fraction = (self.plant.pressure_kpa(t_s) - self.low_kpa) / (self.high_kpa - self.low_kpa)
        return round(max(3800.0, min(20500.0, 4000.0 + 16000.0 * fraction)))
