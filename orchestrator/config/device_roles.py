"""What a rig file says of a device by its role, whoever made it. Each driver's own model lies below one of these."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from orchestrator import units
from orchestrator.config.quantities import Name, PressureRange, Quantity, Range, Section, WavelengthRange

Role = Literal["pump", "heater", "spectrometer", "pressure", "valve", "gas", "phase"]


class DeviceConfig(Section):
    """A device on a port. A model of its own for each ``driver``, below the class of its role."""

    role: ClassVar[Role]
    driver: str
    port: Name

    @property
    def stops_by_itself_s(self) -> float | None:
        """After so long without a word from the host it goes into a safe state by itself, in s; None: it does not."""
        return None


class PumpConfig(DeviceConfig):
    """A pump: what it feeds, and the line from there to the mixer."""

    role: ClassVar[Role] = "pump"
    stock: Name
    line_volume_ul: Annotated[float, Quantity(units.VOLUME, ge=0.0, le=1.0e5)] = 30.0

    @property
    def flow_range_ul_min(self) -> tuple[float, float]:
        """Slowest and fastest flow that the pump allows."""
        raise NotImplementedError(f"{type(self).__name__} does not say what flows it allows")

    @property
    def holds_ul(self) -> float:
        """What it can give before a person fills it again."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it holds")

    @property
    def bore_mm(self) -> float:
        """Inner diameter of its syringe."""
        raise NotImplementedError(f"{type(self).__name__} does not say how wide its syringe is")

    @property
    def pauses(self) -> bool:
        """Whether its flow pauses now and then, to refill."""
        return False


class Syringe(Section):
    """A syringe by what it holds when full and by its inner diameter, from its maker's table."""

    volume_ul: Annotated[float, Quantity(units.VOLUME, gt=0.0, le=1.0e6)]
    diameter_mm: Annotated[float, Quantity(units.LENGTH, ge=0.1, le=50.0)]

    @property
    def area_mm2(self) -> float:
        """Cross-section of its bore."""
        return math.pi * self.diameter_mm**2 / 4.0


class SyringePumpConfig(PumpConfig):
    """A pump with one syringe that a person fills."""

    syringe: Syringe

    @property
    def holds_ul(self) -> float:
        return self.syringe.volume_ul

    @property
    def bore_mm(self) -> float:
        return self.syringe.diameter_mm


class HeaterConfig(DeviceConfig):
    """A temperature controller."""

    role: ClassVar[Role] = "heater"

    @property
    def tells_c(self) -> tuple[float, float]:
        """The coldest and the hottest temperature that it can be told and can tell."""
        return -math.inf, math.inf

    @property
    def tells_no_more_because(self) -> str:
        """Where these bounds come from, in words."""
        return "its own range"


class DetectorConfig(DeviceConfig):
    """A spectrometer and its lamp.

    ``lamp_nm``: where the lamp's own line shows; ``emission_nm``: where emission is looked for. ``yield_factor``: turns
    emitted over absorbed counts into quantum yield, from a reference dye of known yield. In absorption ``lamp_nm`` is a
    band where the sample is clear, and ``emission_nm`` where the absorption line is looked for.
    """

    role: ClassVar[Role] = "spectrometer"
    lamp_nm: WavelengthRange = Range(393.0, 417.0)
    emission_nm: WavelengthRange = Range(418.0, 800.0)
    yield_factor: float = Field(default=1.0, gt=0.0, le=1.0e6)

    @property
    def full_scale_counts(self) -> float:
        """Where its counts end."""
        raise NotImplementedError(f"{type(self).__name__} does not say where its counts end")

    @property
    def exposure_range_s(self) -> tuple[float, float]:
        """Shortest and longest exposure; the same twice for one that is set in the instrument's own software."""
        raise NotImplementedError(f"{type(self).__name__} does not say how long it exposes")

    @property
    def sees_nm(self) -> tuple[float, float]:
        """The shortest and longest wavelength that any of its model can see; the one plugged in may see less."""
        return 0.0, math.inf

    def spectrum_s(self, exposure_s: float, waited_s: float = 0.0) -> float:
        """From one spectrum of this exposure to the next, which is asked for ``waited_s`` after the one before."""
        return waited_s + exposure_s

    @property
    def lamp_settle_s(self) -> float:
        """How long the lamp takes to be steady after it was switched."""
        return 0.0

    @property
    def dark_subtracted(self) -> bool:
        """Whether its spectra come with their dark taken off, so that none is measured here."""
        return False

    @property
    def sees_emission(self) -> bool:
        """Whether the lamp excites the cell from the side; otherwise it shines through the cell."""
        return True


class PressureSensorConfig(DeviceConfig):
    """A pressure sensor, over this range."""

    role: ClassVar[Role] = "pressure"
    range_kpa: PressureRange


class ValveConfig(DeviceConfig):
    """A selector valve. ``home``: the position that a safe sequence turns it to."""

    role: ClassVar[Role] = "valve"
    positions: int = Field(default=10, ge=2, le=96)
    home: int = Field(default=1, ge=1, le=96)


class GasConfig(DeviceConfig):
    """A gas flow controller. Flows are normal ml/min: at 0 degC and 101.325 kPa."""

    role: ClassVar[Role] = "gas"


class PhaseSensorConfig(DeviceConfig):
    """A sensor that tells gas from liquid in the tube."""

    role: ClassVar[Role] = "phase"
