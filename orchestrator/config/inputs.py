"""What a campaign's planner may choose, and what every experiment has in common: quantities of a recipe by kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from orchestrator.config.quantities import (
    Concentration,
    ConcentrationRange,
    Flow,
    FlowRange,
    Fraction,
    FractionRange,
    Name,
    Ratio,
    Ratios,
    Section,
    Temperature,
    TemperatureRange,
    Time,
    TimeRange,
)

Scale = Literal["linear", "log"]

# Inputs: what the planner may choose. Each has low and high in its base unit, and a scale.


class ResidenceTimeInput(Section):
    """Time in the heated reactor, its volume over the total flow."""

    kind: Literal["residence_time"]
    range_s: TimeRange
    scale: Scale = "linear"

    @property
    def low_s(self) -> float:
        return self.range_s.low

    @property
    def high_s(self) -> float:
        return self.range_s.high

    @property
    def low(self) -> float:
        return self.range_s.low

    @property
    def high(self) -> float:
        return self.range_s.high


class TotalFlowInput(Section):
    """Sum of all pump flows."""

    kind: Literal["total_flow"]
    range_ul_min: FlowRange
    scale: Scale = "linear"

    @property
    def low(self) -> float:
        return self.range_ul_min.low

    @property
    def high(self) -> float:
        return self.range_ul_min.high


class TemperatureInput(Section):
    """Temperature of the reactor."""

    kind: Literal["temperature"]
    range_c: TemperatureRange

    @property
    def low(self) -> float:
        return self.range_c.low

    @property
    def high(self) -> float:
        return self.range_c.high

    @property
    def scale(self) -> Scale:
        return "linear"


class MolarRatioInput(Section):
    """Amount of one species over the amount of another, in the mixed stream."""

    kind: Literal["molar_ratio"]
    of: Name
    to: Name
    range: Ratios
    scale: Scale = "linear"

    @property
    def low(self) -> float:
        return self.range.low

    @property
    def high(self) -> float:
        return self.range.high


class MolarFractionInput(Section):
    """Amount of one species over the sum of several, itself included, in the mixed stream."""

    kind: Literal["molar_fraction"]
    of: Name
    among: tuple[Name, ...] = Field(min_length=2, max_length=20)
    range: FractionRange

    @property
    def low(self) -> float:
        return self.range.low

    @property
    def high(self) -> float:
        return self.range.high

    @property
    def scale(self) -> Scale:
        return "linear"


class ConcentrationInput(Section):
    """Concentration of a species in the mixed stream, before it reacts."""

    kind: Literal["concentration"]
    of: Name
    range_mm: ConcentrationRange
    scale: Scale = "linear"

    @property
    def low(self) -> float:
        return self.range_mm.low

    @property
    def high(self) -> float:
        return self.range_mm.high


class VolumeFractionInput(Section):
    """Flow of one pump over the total flow."""

    kind: Literal["volume_fraction"]
    of: Name
    range: FractionRange

    @property
    def low(self) -> float:
        return self.range.low

    @property
    def high(self) -> float:
        return self.range.high

    @property
    def scale(self) -> Scale:
        return "linear"


Input = Annotated[
    ResidenceTimeInput
    | TotalFlowInput
    | TemperatureInput
    | MolarRatioInput
    | MolarFractionInput
    | ConcentrationInput
    | VolumeFractionInput,
    Field(discriminator="kind"),
]

# Fixed quantities: the same kinds with one value.


class FixedResidenceTime(Section):
    """A residence time that every experiment has."""

    kind: Literal["residence_time"]
    value_s: Time

    @property
    def value(self) -> float:
        return self.value_s


class FixedTotalFlow(Section):
    """A total flow that every experiment has."""

    kind: Literal["total_flow"]
    value_ul_min: Flow

    @property
    def value(self) -> float:
        return self.value_ul_min


class FixedTemperature(Section):
    """A temperature that every experiment has."""

    kind: Literal["temperature"]
    value_c: Temperature

    @property
    def value(self) -> float:
        return self.value_c


class FixedMolarRatio(Section):
    """A molar ratio that every experiment has."""

    kind: Literal["molar_ratio"]
    of: Name
    to: Name
    value: Ratio


class FixedMolarFraction(Section):
    """A molar fraction that every experiment has."""

    kind: Literal["molar_fraction"]
    of: Name
    among: tuple[Name, ...] = Field(min_length=2, max_length=20)
    value: Fraction


class FixedConcentration(Section):
    """A concentration that every experiment has."""

    kind: Literal["concentration"]
    of: Name
    value_mm: Concentration

    @property
    def value(self) -> float:
        return self.value_mm


class FixedVolumeFraction(Section):
    """A volume fraction that every experiment has."""

    kind: Literal["volume_fraction"]
    of: Name
    value: Fraction


Fixed = Annotated[
    FixedResidenceTime
    | FixedTotalFlow
    | FixedTemperature
    | FixedMolarRatio
    | FixedMolarFraction
    | FixedConcentration
    | FixedVolumeFraction,
    Field(discriminator="kind"),
]

UNITS: Mapping[str, str] = {
    "residence_time": "s",
    "total_flow": "µL/min",
    "temperature": "°C",
    "molar_ratio": "",
    "molar_fraction": "",
    "concentration": "mM",
    "volume_fraction": "",
}
"""Base unit of each kind of input, as reports write it."""
