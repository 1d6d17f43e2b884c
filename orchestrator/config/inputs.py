"""What a campaign's planner may choose, and what every experiment has in common: quantities of a recipe by kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from orchestrator.config.quantities import (
    Concentration,
    ConcentrationRange,
    Flow,
    FlowRange,
    Fraction,
    FractionRange,
    Name,
    Range,
    Ratio,
    Ratios,
    Section,
    Temperature,
    TemperatureDifference,
    TemperatureRange,
    Time,
    TimeRange,
)

Scale = Literal["linear", "log"]

MOST_VALUES = 500
_FEW = Field(min_length=2, max_length=MOST_VALUES)
TimeValues = Annotated[tuple[Time, ...], _FEW]
FlowValues = Annotated[tuple[Flow, ...], _FEW]
TemperatureValues = Annotated[tuple[Temperature, ...], _FEW]
ConcentrationValues = Annotated[tuple[Concentration, ...], _FEW]
FractionValues = Annotated[tuple[Fraction, ...], _FEW]
RatioValues = Annotated[tuple[Ratio, ...], _FEW]


class Given(NamedTuple):
    """What a file says of an input: a range, with or without a step, or values (empty where there is a range)."""

    range: Range | None
    values: tuple[float, ...]
    step: float | None


# Inputs: what the planner may choose, from a range or among values, in its base unit.


class InputBase(Section):
    """What all kinds of input say. Exactly one of range and values stands in a file; a step needs a range."""

    @property
    def given(self) -> Given:
        """What the file says."""
        raise NotImplementedError

    @property
    def low(self) -> float:
        """The lowest value."""
        said = self.given
        return min(said.values) if said.range is None else said.range.low

    @property
    def high(self) -> float:
        """The highest value."""
        said = self.given
        choices = self.choices
        return choices[-1] if choices or said.range is None else said.range.high

    @property
    def levels(self) -> tuple[str, ...]:
        """What the values 0, 1, 2 ... stand for, where they are names; empty where values are numbers."""
        return ()

    @property
    def choices(self) -> tuple[float, ...]:
        """The only values that there are, in ascending order; empty where all between low and high are."""
        said = self.given
        if said.range is None:
            return tuple(sorted(said.values))
        if not said.step:
            return ()
        steps = math.floor((said.range.high - said.range.low) / said.step * (1.0 + 1e-9))
        return tuple(said.range.low + index * said.step for index in range(min(steps, MOST_VALUES) + 1))


class ResidenceTimeInput(InputBase):
    """Time in the heated reactor, its volume over the total flow."""

    kind: Literal["residence_time"]
    range_s: TimeRange | None = None
    values_s: TimeValues | None = None
    step_s: Time | None = None
    scale: Scale = "linear"

    @property
    def given(self) -> Given:
        """What the file says."""
        return Given(self.range_s, self.values_s or (), self.step_s)


class TotalFlowInput(InputBase):
    """Sum of all pump flows."""

    kind: Literal["total_flow"]
    range_ul_min: FlowRange | None = None
    values_ul_min: FlowValues | None = None
    step_ul_min: Flow | None = None
    scale: Scale = "linear"

    @property
    def given(self) -> Given:
        """What the file says."""
        return Given(self.range_ul_min, self.values_ul_min or (), self.step_ul_min)


class TemperatureInput(InputBase):
    """Temperature of the reactor."""

    kind: Literal["temperature"]
    range_c: TemperatureRange | None = None
    values_c: TemperatureValues | None = None
    step_k: TemperatureDifference | None = None

    @property
    def given(self) -> Given:
        """What the file says."""
        return Given(self.range_c, self.values_c or (), self.step_k)

    @property
    def scale(self) -> Scale:
        """Always linear."""
        return "linear"


class MolarRatioInput(InputBase):
    """Amount of one species over the amount of another, in the mixed stream."""

    kind: Literal["molar_ratio"]
    of: Name
    to: Name
    range: Ratios | None = None
    values: RatioValues | None = None
    step: Ratio | None = None
    scale: Scale = "linear"

    @property
    def given(self) -> Given:
        """What the file says."""
        return Given(self.range, self.values or (), self.step)


class MolarFractionInput(InputBase):
    """Amount of one species over the sum of several, itself included, in the mixed stream."""

    kind: Literal["molar_fraction"]
    of: Name
    among: tuple[Name, ...] = Field(min_length=2, max_length=20)
    range: FractionRange | None = None
    values: FractionValues | None = None
    step: Fraction | None = None

    @property
    def given(self) -> Given:
        """What the file says."""
        return Given(self.range, self.values or (), self.step)

    @property
    def scale(self) -> Scale:
        """Always linear."""
        return "linear"


class ConcentrationInput(InputBase):
    """Concentration of a species in the mixed stream, before it reacts."""

    kind: Literal["concentration"]
    of: Name
    range_mm: ConcentrationRange | None = None
    values_mm: ConcentrationValues | None = None
    step_mm: Concentration | None = None
    scale: Scale = "linear"

    @property
    def given(self) -> Given:
        """What the file says."""
        return Given(self.range_mm, self.values_mm or (), self.step_mm)


class VolumeFractionInput(InputBase):
    """Flow of one pump over the total flow."""

    kind: Literal["volume_fraction"]
    of: Name
    range: FractionRange | None = None
    values: FractionValues | None = None
    step: Fraction | None = None

    @property
    def given(self) -> Given:
        """What the file says."""
        return Given(self.range, self.values or (), self.step)

    @property
    def scale(self) -> Scale:
        """Always linear."""
        return "linear"


class PumpChoiceInput(InputBase):
    """Which of several pumps runs, such as one of two ligands or antisolvents; the others of them stand still."""

    kind: Literal["pump_choice"]
    among: tuple[Name, ...] = Field(min_length=2, max_length=20)

    @property
    def given(self) -> Given:
        """Every pump by its place in the list, from 0."""
        return Given(None, tuple(float(place) for place in range(len(self.among))), None)

    @property
    def levels(self) -> tuple[str, ...]:
        """The pumps, in the order of the values."""
        return self.among

    @property
    def scale(self) -> Scale:
        """Always linear."""
        return "linear"


Input = Annotated[
    ResidenceTimeInput
    | TotalFlowInput
    | TemperatureInput
    | MolarRatioInput
    | MolarFractionInput
    | ConcentrationInput
    | VolumeFractionInput
    | PumpChoiceInput,
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
    "pump_choice": "",
}
"""Base unit of each kind of input, as reports write it."""
