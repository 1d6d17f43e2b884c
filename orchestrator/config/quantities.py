"""Field types of the configuration models: quantities with units, ranges of them, names; and the common base."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from orchestrator import units
from orchestrator.units import Dimension

_SUFFIXES = (
    "_nm_per_h",
    "_ul_min",
    "_mpa_s",
    "_per_h",
    "_j_k",
    "_w_k",
    "_kpa",
    "_mm",
    "_nm",
    "_ul",
    "_ev",
    "_s",
    "_c",
    "_k",
    "_w",
    "_v",
)


def without_unit(name: str) -> str:
    """The YAML key of an attribute: its name without the unit suffix, ``bore_mm`` to ``bore``."""
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


class Section(BaseModel):
    """Base of every configuration model: strict, frozen, unknown keys refused, NaN and infinity refused."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        alias_generator=without_unit,
        protected_namespaces=(),
        defer_build=True,
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """pydantic's schema, with the defaults of quantities shown as a person would write them."""
        described = handler.resolve_ref_schema(handler(schema))
        for name, field in cls.model_fields.items():
            entry = described["properties"][field.alias or name]
            written = [item.of if isinstance(item, (RangeOf, Whole)) else item for item in field.metadata]
            quantity = next((item for item in written if isinstance(item, Quantity)), None)
            if quantity is None or "default" not in entry:
                continue
            if isinstance(field.default, tuple):
                entry["default"] = [units.format_quantity(end, quantity.dimension) for end in field.default]
            elif isinstance(field.default, (int, float)) and not quantity.dimension.bare:
                entry["default"] = units.format_quantity(field.default, quantity.dimension)
        return described


class Range(NamedTuple):
    """A closed interval, low below high, in the unit of the field that holds it."""

    low: float
    high: float


@dataclass(frozen=True)
class Quantity:
    """Annotation of a float that is written with its unit. Bounds are in the dimension's own unit."""

    dimension: Dimension
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None

    @property
    def allowed(self) -> str:
        """The bounds in words; empty when there are none."""
        low = self.gt if self.ge is None else self.ge
        high = self.lt if self.le is None else self.le
        parts = []
        if low is not None:
            parts.append(f"{'above' if self.ge is None else 'from'} {units.format_quantity(low, self.dimension)}")
        if high is not None:
            parts.append(f"{'below' if self.le is None else 'to'} {units.format_quantity(high, self.dimension)}")
        return " ".join(parts)

    def read(self, value: object) -> float:
        """The number behind one YAML value; PydanticCustomError with what is allowed and what was likely meant."""
        try:
            number = units.parse_quantity(value, self.dimension)
        except units.QuantityError as error:
            context = {"message": error.message, "allowed": error.allowed, "suggestion": error.suggestion}
            raise PydanticCustomError("quantity", "{message}", context) from None
        inside = (
            (self.gt is None or number > self.gt)
            and (self.ge is None or number >= self.ge)
            and (self.lt is None or number < self.lt)
            and (self.le is None or number <= self.le)
        )
        if not inside:
            context = {"message": "out of range", "allowed": self.allowed, "suggestion": ""}
            raise PydanticCustomError("quantity", "{message}", context)
        return number

    def json_schema(self) -> JsonSchemaValue:
        """What an editor checks and offers: the number, one of the units, an example."""
        dimension = self.dimension
        bounds = f"; {self.allowed}" if self.allowed else ""
        text: JsonSchemaValue = {
            "type": "string",
            "pattern": rf"^\s*{dimension.pattern}\s*$",
            "description": f"{dimension.name[:1].upper()}{dimension.name[1:]}{bounds}",
            "examples": [dimension.example],
        }
        if not dimension.bare:
            return text
        number: JsonSchemaValue = {"type": "number"}
        for key, bound in (
            ("exclusiveMinimum", self.gt),
            ("minimum", self.ge),
            ("exclusiveMaximum", self.lt),
            ("maximum", self.le),
        ):
            if bound is not None:
                number[key] = bound
        return {"anyOf": [number, text]}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _plain(self.read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return self.json_schema()


@dataclass(frozen=True)
class RangeOf:
    """Annotation of a :class:`Range` that is written as a list of two quantities, the lower one first."""

    of: Quantity

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        item = _plain(self.of.read)
        return core_schema.no_info_after_validator_function(_ordered, core_schema.tuple_positional_schema([item, item]))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        item = self.of.json_schema()
        return {"type": "array", "items": item, "minItems": 2, "maxItems": 2}


@dataclass(frozen=True)
class Whole:
    """Annotation of an int that is written as a quantity, such as ``"60 s"``."""

    of: Quantity

    def _read(self, value: object) -> int:
        number = self.of.read(value)
        if number != int(number):
            context = {
                "message": f"a whole number of {self.of.dimension.unit} is wanted here",
                "allowed": self.of.allowed,
                "suggestion": f'"{round(number)} {self.of.dimension.unit}"',
            }
            raise PydanticCustomError("quantity", "{message}", context)
        return int(number)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _plain(self._read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return self.of.json_schema()


def _plain(read: Callable[[object], float]) -> CoreSchema:
    return core_schema.no_info_plain_validator_function(read)


def _ordered(pair: tuple[float, float]) -> Range:
    low, high = pair
    if not low < high:
        context = {
            "message": "the lower end must come first and lie below the upper one",
            "allowed": "",
            "suggestion": "",
        }
        raise PydanticCustomError("quantity", "{message}", context)
    return Range(low, high)


NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")
Name = Annotated[str, StringConstraints(pattern=NAME.pattern)]
"""A name that other parts of the file refer to: a letter, then letters, digits, ``_`` or ``-``."""

Line = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(max_length=5000)]

Time = Annotated[float, Quantity(units.TIME, gt=0.0, le=3.0e7)]
Length = Annotated[float, Quantity(units.LENGTH, gt=0.0, le=1.0e6)]
Bore = Annotated[float, Quantity(units.LENGTH, gt=0.0, le=50.0)]
Volume = Annotated[float, Quantity(units.VOLUME, gt=0.0, le=1.0e7)]
Flow = Annotated[float, Quantity(units.FLOW, gt=0.0, le=1.0e6)]
Temperature = Annotated[float, Quantity(units.TEMPERATURE, gt=-273.15, le=1500.0)]
TemperatureDifference = Annotated[float, Quantity(units.TEMPERATURE_DIFFERENCE, gt=0.0, le=200.0)]
Energy = Annotated[float, Quantity(units.ENERGY, gt=0.0, le=10.0)]
EnergyDifference = Annotated[float, Quantity(units.ENERGY_DIFFERENCE, gt=0.0, le=2.0)]
LineDifference = Annotated[float, Quantity(units.LINE_DIFFERENCE, gt=0.0, le=2.0)]
"""Of a section below an objective, which knows the line: there it may be written in nm."""
Concentration = Annotated[float, Quantity(units.CONCENTRATION, ge=0.0, le=20_000.0)]
Pressure = Annotated[float, Quantity(units.PRESSURE, ge=0.0, le=1.0e5)]
Voltage = Annotated[float, Quantity(units.VOLTAGE, ge=0.0, le=10.0)]
Fraction = Annotated[float, Quantity(units.FRACTION, ge=0.0, le=1.0)]

TimeRange = Annotated[Range, RangeOf(Quantity(units.TIME, gt=0.0, le=3.0e7))]
FlowRange = Annotated[Range, RangeOf(Quantity(units.FLOW, gt=0.0, le=1.0e6))]
TemperatureRange = Annotated[Range, RangeOf(Quantity(units.TEMPERATURE, gt=-273.15, le=1500.0))]
PressureRange = Annotated[Range, RangeOf(Quantity(units.PRESSURE, ge=-101.325, le=1.0e5))]
ConcentrationRange = Annotated[Range, RangeOf(Quantity(units.CONCENTRATION, ge=0.0, le=20_000.0))]
FractionRange = Annotated[Range, RangeOf(Quantity(units.FRACTION, ge=0.0, le=1.0))]
WavelengthRange = Annotated[Range, RangeOf(Quantity(units.WAVELENGTH, ge=100.0, le=5000.0))]

Ratio = Annotated[float, Field(gt=0.0, le=1.0e6)]


@dataclass(frozen=True)
class RatioRange:
    """Annotation of a :class:`Range` of two bare positive numbers."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        item = core_schema.float_schema(gt=0.0, le=1.0e6, allow_inf_nan=False, strict=True)
        return core_schema.no_info_after_validator_function(_ordered, core_schema.tuple_positional_schema([item, item]))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        item = {"type": "number", "exclusiveMinimum": 0.0, "maximum": 1.0e6}
        return {"type": "array", "items": item, "minItems": 2, "maxItems": 2}


Ratios = Annotated[Range, RatioRange()]
