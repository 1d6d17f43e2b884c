"""What a gas flow controller reports, whoever made it, in one reference condition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.errors import OutOfRangeError
from drivers.readings import Look

ZERO_CELSIUS_K: Final = 273.15


@dataclass(frozen=True)
class GasReading:
    """One look at a gas flow controller.

    Flows are normal millilitres per minute: the volume that the gas would have at 0 °C and 101.325 kPa. Makers differ
    in their reference temperature, so the drivers convert. ``temperature_c`` and ``pressure_kpa`` (absolute) are nan
    where the instrument does not measure them. ``faults`` names what it complains about, in words.
    """

    flow_mln_min: float
    set_point_mln_min: float
    temperature_c: float
    pressure_kpa: float
    gas: str
    faults: tuple[str, ...] = ()


def gas_look(identity: str, reading: GasReading) -> Look:
    """The reading in words."""
    state = ", ".join([f"set-point {reading.set_point_mln_min:.4g} mLn/min", *reading.faults])
    return Look(identity, state, f"{reading.flow_mln_min:.4g} mLn/min, {reading.temperature_c:.1f} °C")


def must_be_within_capacity(
    flow_mln_min: float, flow_range_mln_min: tuple[float, float], *, device: str, port: str
) -> None:
    """Refuse a flow before anything is sent. Raises OutOfRangeError for one beyond the capacity, but for rounding."""
    low, high = flow_range_mln_min
    if not low <= flow_mln_min <= high * (1 + 1e-9):
        message = f"flow {flow_mln_min:g} mL/min is outside {low:g} to {high:.4g} mL/min (0 °C, 101.325 kPa)"
        raise OutOfRangeError(message, low=low, high=high, device=device, port=port, asked=flow_mln_min)


def to_normal(volume_ml: float, reference_temperature_c: float) -> float:
    """Millilitres at another reference temperature (and 101.325 kPa) as normal millilitres; ideal gas, so V ~ T."""
    return volume_ml * ZERO_CELSIUS_K / (ZERO_CELSIUS_K + reference_temperature_c)


def from_normal(volume_mln: float, reference_temperature_c: float) -> float:
    """Normal millilitres as millilitres at another reference temperature and 101.325 kPa."""
    return volume_mln * (ZERO_CELSIUS_K + reference_temperature_c) / ZERO_CELSIUS_K
