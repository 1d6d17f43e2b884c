"""Spectrometers in a rig file: one model a driver, each below the class of its role."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orchestrator import units
from orchestrator.config.device_roles import DetectorConfig
from orchestrator.config.quantities import Line, Quantity, Section, Time

OceanModelName = Literal["USB2000+", "Flame-S", "USB4000", "Flame-T", "STS", "QE Pro", "HDX"]
_FULL_SCALE: dict[str, float] = {"STS": 16_383.0, "QE Pro": 262_143.0}
_SILICON_NM = (165.0, 1100.0)
_EXPOSURE_S: dict[str, tuple[float, float]] = {
    "USB4000": (1.0e-5, 65.0),
    "Flame-T": (1.0e-5, 65.0),
    "STS": (1.0e-5, 85.0),
    "QE Pro": (0.008, 1600.0),
    "HDX": (0.006, 10.0),
}


class LampSwitch(Section):
    """What hangs on a spectrometer's lamp line.

    ``emission``: the lamp excites the cell from the side; ``absorption``: it shines through the cell, and its dark is a
    closed shutter. ``on``: the level of the line at which light falls in. ``settle``: how long that takes to be steady.
    """

    mode: Literal["emission", "absorption"] = "emission"
    on_level: Literal["high", "low"] = "high"
    settle_s: Annotated[float, Quantity(units.TIME, ge=0.0, le=600.0)] = 0.0


class OceanOpticsConfig(DetectorConfig):
    """An Ocean Optics spectrometer that switches the excitation lamp, or its shutter, by its lamp line."""

    driver: Literal["ocean_optics"]
    model: OceanModelName = "USB2000+"
    lamp_line: LampSwitch = Field(default_factory=LampSwitch)

    @property
    def full_scale_counts(self) -> float:
        return _FULL_SCALE.get(self.model, 65_535.0)

    @property
    def exposure_range_s(self) -> tuple[float, float]:
        """What the driver sets on the model."""
        return _EXPOSURE_S.get(self.model, (0.001, 65.0))

    @property
    def sees_nm(self) -> tuple[float, float]:
        """All have silicon behind a grating of the buyer's choice (the makers' data sheets)."""
        return _SILICON_NM

    @property
    def lamp_settle_s(self) -> float:
        return self.lamp_line.settle_s

    @property
    def sees_emission(self) -> bool:
        return self.lamp_line.mode == "emission"


class FolderSpectrometerConfig(DetectorConfig):
    """Any spectrometer whose own software exports files (CSV, JCAMP-DX), dark subtracted, lamp on, again and again.

    ``exposure``: as set in that software. ``every``: how often it exports. ``rests``: how long a file must be unchanged
    to count as complete.
    """

    driver: Literal["folder"]
    files: Line = "*.csv"
    exposure_s: Annotated[float, Quantity(units.TIME, ge=0.001, le=3600.0)]
    every_s: Time = 5.0
    rests_s: Annotated[float, Quantity(units.TIME, ge=0.05, le=60.0)] = 0.5
    full_scale: float = Field(default=65_535.0, gt=0.0, le=1.0e12)

    @property
    def full_scale_counts(self) -> float:
        return self.full_scale

    @property
    def exposure_range_s(self) -> tuple[float, float]:
        return self.exposure_s, self.exposure_s

    def spectrum_s(self, exposure_s: float, waited_s: float = 0.0) -> float:
        """Files come at their own pace: the next is the first to appear after it was asked for."""
        each_s = max(self.every_s, exposure_s)
        return each_s * (1.0 + (self.rests_s + waited_s) // each_s)

    @property
    def dark_subtracted(self) -> bool:
        return True
