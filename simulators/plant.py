"""What device electronics can do to the physical world, and see of it.

A twin on the wire owns a protocol; the world behind these protocols owns the physics. Times are seconds of the
event loop's clock and never go back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PumpPlant(Protocol):
    """What a pump's electronics can do to its mechanics."""

    def drive(self, t_s: float, flow_ul_min: float) -> None:
        """Command the motor: > 0 infuses, < 0 withdraws, 0 stops."""
        ...

    def displaced_ul(self, t_s: float) -> float:
        """Net motor displacement since power-up, infusion positive; it stops counting when stalled."""
        ...

    def stalled(self, t_s: float) -> bool:
        """Whether the motor is driven and does not move."""
        ...


class HeaterPlant(Protocol):
    """What a temperature controller sees and does."""

    def process_value_c(self, t_s: float) -> float:
        """Thermocouple as the controller reads it; nan when broken."""
        ...

    def output_fraction(self, t_s: float) -> float:
        """Heater output, 0 to 1."""
        ...

    def set_point_c(self, t_s: float) -> float:
        """Working set-point."""
        ...

    def command(self, t_s: float, set_point_c: float, automatic: bool) -> None:
        """Take a set-point; ``automatic`` False means heater output off."""
        ...


class PressurePlant(Protocol):
    """What a pressure transmitter sees."""

    def pressure_kpa(self, t_s: float) -> float:
        """Gauge pressure."""
        ...


class OpticsPlant(Protocol):
    """The fluid and lamp in front of a spectrometer."""

    def lamp(self, t_s: float, on: bool) -> None:
        """Switch the excitation lamp."""
        ...

    def expose(self, t_start_s: float, integration_s: float) -> NDArray[np.float64]:
        """Counts before rounding and clipping to full scale, shape (pixels,).

        Signal, dark, stray light, shot and read noise are included.
        """
        ...


class ValvePlant(Protocol):
    """What a selector valve's actuator can do to its valve."""

    def turn(self, t_s: float, position: int) -> None:
        """Start turning to ``position``, 1 for the first."""
        ...

    def position(self, t_s: float) -> int | None:
        """Where the rotor is; None between two positions."""
        ...


class GasPlant(Protocol):
    """What a gas flow controller sees and does. Flows are normal mL/min: at 0 °C and 101.325 kPa."""

    def command(self, t_s: float, flow_mln_min: float) -> None:
        """Take a set-point; 0 closes the valve."""
        ...

    def flow_mln_min(self, t_s: float) -> float:
        """Flow through the sensor; less than the set-point when the supply is too low."""
        ...

    def temperature_c(self, t_s: float) -> float:
        """Temperature of the gas."""
        ...

    def pressure_kpa(self, t_s: float) -> float:
        """Absolute pressure of the gas."""
        ...


class PhasePlant(Protocol):
    """What a bubble sensor sees."""

    def gas_share(self, t_s: float) -> float:
        """Share of the sensor's field that is gas, 0 to 1."""
        ...
