"""Quantities as people write them, ``"80 µl/min"``, into floats in the unit that a name's suffix promises.

Units and their arithmetic are pint's, from the definitions in ``units.txt``. What may be written for each dimension is
a closed list of spellings, so that an editor's JSON Schema and this module accept the same text. Since a spelling is a
fixed scale, pint is asked once for all of them and its answers are kept in ``unit_scales.json`` (pint and numpy take
longer to import than a campaign takes to validate); ``python -m orchestrator.units`` writes that file anew.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pint import UnitRegistry

DEFINITIONS = Path(__file__).with_name("units.txt")
SCALES = Path(__file__).with_name("unit_scales.json")

HC_EV_NM = 1239.841984
"""Planck's constant times the speed of light, in eV nm (CODATA 2018)."""

NUMBER_PATTERN = r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?"
_QUANTITY = re.compile(rf"\s*(?P<number>{NUMBER_PATTERN})\s*(?P<unit>.*?)\s*")

_THOUSANDS = re.compile(r"\s*[-+]?[1-9][0-9]{0,2}(,[0-9]{3})+(?![0-9,])")
_DECIMAL_COMMA = re.compile(r"\s*[-+]?[0-9]+,[0-9]+.*")

WORDS: Mapping[str, str] = {
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "mins": "min",
    "mn": "min",
    "minute": "min",
    "minutes": "min",
    "hr": "h",
    "hrs": "h",
    "hour": "h",
    "hours": "h",
    "day": "d",
    "days": "d",
    "c": "degC",
    "deg": "degC",
    "°": "degC",
    "celsius": "degC",
    "kelvin": "K",
    "molar": "M",
    "millimolar": "mM",
    "percent": "%",
}
"""Words for units, by which an error knows what was meant. They are not read: one spelling is enough."""

_TIMES = ("s", "min", "h")
_VOLUMES = ("nl", "nL", "µl", "µL", "μl", "μL", "ul", "uL", "ml", "mL", "l", "L")


@dataclass(frozen=True)
class Dimension:
    """A kind of quantity. ``unit``: what values are converted to; ``spellings``: the units that may be written.

    ``bare``: a number without unit is itself a value (only for pure numbers). ``shown``: the units as messages list
    them, where that is not simply the spellings. ``elsewhere``: units that may be written too, but have no scale by
    themselves: what knows theirs has converted them before :func:`parse_quantity` is asked.
    """

    name: str
    unit: str
    example: str
    spellings: tuple[str, ...]
    bare: bool = False
    shown: str = ""
    elsewhere: tuple[str, ...] = ()

    @property
    def pattern(self) -> str:
        """A regular expression, without anchors, of all that may be written."""
        units = "|".join(re.escape(spelling) for spelling in self.all_spellings)
        return rf"{NUMBER_PATTERN}\s*({units})"

    @property
    def all_spellings(self) -> tuple[str, ...]:
        """Those of its own scale and those that are converted elsewhere."""
        return self.spellings + self.elsewhere


@dataclass(frozen=True)
class Scale:
    """value = number x factor + offset, or factor / number where ``inverse`` (wavelength to photon energy)."""

    factor: Decimal
    offset: Decimal
    inverse: bool

    def apply(self, number: Decimal) -> float:
        """The number in the dimension's own unit. Raises ZeroDivisionError for an inverse scale at zero."""
        return float(self.factor / number if self.inverse else number * self.factor + self.offset)


class QuantityError(ValueError):
    """Text that is no quantity of the dimension wanted; ``allowed`` and ``suggestion`` say what would be."""

    def __init__(self, message: str, *, allowed: str = "", suggestion: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.allowed = allowed
        self.suggestion = suggestion


TIME = Dimension("a time", "s", "10 min", ("ms", "s", "min", "h", "d"))
LENGTH = Dimension("a length", "mm", "0.5 mm", ("µm", "μm", "um", "mm", "cm", "m"))
VOLUME = Dimension("a volume", "µl", "10 ml", _VOLUMES)
FLOW = Dimension(
    "a flow rate",
    "µl/min",
    "80 µl/min",
    tuple(f"{volume}/{time}" for volume in _VOLUMES for time in _TIMES),
    shown="nl, µl, ml or l per s, min or h",
)
TEMPERATURE = Dimension("a temperature", "degC", "120 degC", ("degC", "°C", "K"))
TEMPERATURE_DIFFERENCE = Dimension("a temperature difference", "K", "0.5 K", ("K", "mK"))
ENERGY = Dimension("a photon energy or its wavelength", "eV", "2.25 eV", ("eV", "meV", "nm"))
ENERGY_DIFFERENCE = Dimension("an energy difference", "eV", "5 meV", ("eV", "meV"))
LINE_DIFFERENCE = replace(ENERGY_DIFFERENCE, elsewhere=("nm",))
"""An energy difference at a known line, where it may be one of wavelengths as well."""
WAVELENGTH = Dimension("a wavelength", "nm", "405 nm", ("nm", "µm", "μm", "um"))
CONCENTRATION = Dimension(
    "a concentration",
    "mM",
    "20 mM",
    ("nM", "µM", "μM", "uM", "mM", "M", "mmol/l", "mmol/L", "mol/l", "mol/L"),
)
PRESSURE = Dimension("a pressure", "kPa", "300 kPa", ("Pa", "kPa", "MPa", "mbar", "bar", "psi"))
VISCOSITY = Dimension("a viscosity", "mPa*s", "0.6 mPa s", ("mPa s", "mPa*s", "mPa·s", "Pa s", "Pa*s", "Pa·s"))
HEAT_CAPACITY = Dimension("a heat capacity", "J/K", "120 J/K", ("J/K", "kJ/K"))
HEAT_LOSS = Dimension("a heat loss", "W/K", "0.4 W/K", ("W/K", "mW/K"))
VOLTAGE = Dimension("a voltage", "V", "5 V", ("mV", "V"))
POWER = Dimension("a power", "W", "80 W", ("mW", "W", "kW"))
DRIFT = Dimension("a drift", "1/h", "0.5 %/h", ("%/h", "1/h"))
WAVELENGTH_DRIFT = Dimension("a wavelength drift", "nm/h", "0.02 nm/h", ("nm/h", "pm/h"))
FRACTION = Dimension("a fraction", "", "90 %", ("%",), bare=True)

DIMENSIONS = (
    TIME,
    LENGTH,
    VOLUME,
    FLOW,
    TEMPERATURE,
    TEMPERATURE_DIFFERENCE,
    ENERGY,
    ENERGY_DIFFERENCE,
    WAVELENGTH,
    CONCENTRATION,
    PRESSURE,
    VISCOSITY,
    HEAT_CAPACITY,
    HEAT_LOSS,
    VOLTAGE,
    POWER,
    DRIFT,
    WAVELENGTH_DRIFT,
    FRACTION,
)


def parse_quantity(value: object, dimension: Dimension) -> float:
    """The value in the dimension's own unit.

    Takes text such as ``"80 µl/min"`` (or a bare number where the dimension has no unit). Raises QuantityError for bare
    numbers, other dimensions, unknown units, and whatever is not finite.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _bare(value, dimension)
    if not isinstance(value, str):
        raise QuantityError(f"{dimension.name} is wanted here", allowed=f'text such as "{dimension.example}"')
    match = None if _DECIMAL_COMMA.fullmatch(value) else _QUANTITY.fullmatch(value)
    if match is None:
        raise _unreadable(value, dimension)
    number, unit = match["number"], match["unit"]
    if not unit:
        if dimension.bare:
            raise QuantityError("a number in quotes is text", suggestion=number)
        raise _without_unit(number, dimension)
    if unit not in dimension.spellings:
        raise _wrong_unit(number, unit, dimension)
    try:
        result = scales()[dimension.name][unit].apply(Decimal(number))
    except ArithmeticError:
        result = math.nan
    if not math.isfinite(result):
        raise QuantityError(f"{dimension.name} must be finite", allowed=f'text such as "{dimension.example}"')
    return result


def format_quantity(value: float, dimension: Dimension) -> str:
    """A value of the dimension's own unit as a person would write it; the inverse of parsing up to 6 digits."""
    return f"{value:.6g} {dimension.unit}".rstrip()


@cache
def scales() -> Mapping[str, Mapping[str, Scale]]:
    """Dimension name to spelling to scale, from the file that was computed by pint."""
    kept: dict[str, dict[str, list[Any]]] = json.loads(SCALES.read_text("utf-8"))
    return {
        name: {
            spelling: Scale(Decimal(factor), Decimal(offset), inverse)
            for spelling, (factor, offset, inverse) in row.items()
        }
        for name, row in kept.items()
    }


@cache
def registry() -> UnitRegistry[Any]:
    """pint's registry of this project's units, in decimal arithmetic so that ``0.02 M`` is exactly 20 mM."""
    from pint import UnitRegistry

    return UnitRegistry(str(DEFINITIONS), non_int_type=Decimal)


def compute_scales() -> dict[str, dict[str, list[Any]]]:
    """What ``unit_scales.json`` must hold: factor, offset and inverse of every spelling, as pint converts them."""
    return {
        dimension.name: {spelling: _scale(spelling, dimension.unit) for spelling in dimension.spellings}
        for dimension in DIMENSIONS
    }


def scales_text() -> str:
    """The text of ``unit_scales.json``, one dimension to a line."""
    rows = (f"{json.dumps(name)}: {json.dumps(row, ensure_ascii=False)}" for name, row in compute_scales().items())
    return "{\n" + ",\n".join(rows) + "\n}\n"


def _scale(spelling: str, unit: str) -> list[Any]:
    units = registry()
    written = units.parse_units(_pint_spelling(spelling))
    wanted = units.parse_units(unit)
    if not written.is_compatible_with(wanted):
        return [_digits(units.Quantity(Decimal(1), written).to(wanted, "spectroscopy").magnitude), "0", True]
    offset = units.Quantity(Decimal(0), written).to(wanted).magnitude
    factor = units.Quantity(Decimal(1), written).to(wanted).magnitude - offset
    return [_digits(factor), _digits(offset), False]


def _digits(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _pint_spelling(spelling: str) -> str:
    return spelling.replace("·", "*").replace(" s", "*s").replace("%", "percent")


def _bare(value: float, dimension: Dimension) -> float:
    number = float(value) if abs(value) < 1e300 else math.inf
    if not dimension.bare:
        raise _without_unit(f"{value:g}" if math.isfinite(number) else "1", dimension)
    if not math.isfinite(number):
        raise QuantityError(f"{dimension.name} must be finite")
    return number


def _without_unit(number: str, dimension: Dimension) -> QuantityError:
    return QuantityError(
        f"a bare number does not say its unit; {dimension.name} is wanted here",
        allowed=_units(dimension),
        suggestion=f'"{number} {_likely_unit(number, dimension)}"',
    )


def _likely_unit(number: str, dimension: Dimension) -> str:
    """The unit that was forgotten: a photon energy above 100 is likely to be a wavelength."""
    if dimension is ENERGY and float(number) > 100.0:
        return "nm"
    return dimension.unit.replace("*", " ")


def _unreadable(text: str, dimension: Dimension) -> QuantityError:
    if _THOUSANDS.match(text):
        return QuantityError("the decimal mark is a point, and thousands are not set apart: write it without a comma")
    if _DECIMAL_COMMA.fullmatch(text):
        return QuantityError("the decimal mark is a point", suggestion=_with_point(text, dimension))
    return QuantityError(
        f"{dimension.name} is wanted here", allowed=f'a number and a unit, as in "{dimension.example}"'
    )


def _with_point(text: str, dimension: Dimension) -> str:
    """A quantity with a point in place of its comma, where that can be read."""
    match = _QUANTITY.fullmatch(text.strip().replace(",", ".", 1))
    if match is None or match["unit"] not in ("", *dimension.all_spellings):
        return ""
    if match["unit"]:
        return f'"{match[0]}"'
    return match["number"] if dimension.bare else f'"{match["number"]} {dimension.unit.replace("*", " ")}"'


def respellings(unit: str, spellings: Iterable[str]) -> tuple[str, ...]:
    """Those of the spellings that differ from a unit only in how it is written: case, signs, blanks, words for units.

    Never another quantity: m and M before a unit are milli and mega.
    """
    known, plain = tuple(spellings), _plain(unit)
    same = (spelling for spelling in known if _plain(spelling) == plain)
    return tuple(spelling for spelling in same if unit[0] == spelling[0] or not _prefixed(spelling, known))


def _prefixed(spelling: str, known: tuple[str, ...]) -> bool:
    return spelling[0] in "mM" and spelling[1:] in known


def _plain(unit: str) -> str:
    """A unit without what people write in several ways."""
    parts = re.split(r"\s*/\s*|\s+per\s+", unit.strip(" .").replace("º", "°").replace("℃", "°C"))
    words = (WORDS.get(part.lower().replace(" ", ""), part).lower() for part in parts)
    signs = str.maketrans({"µ": "u", "μ": "u", "°": "deg", "·": None, "*": None, " ": None})
    return "/".join(words).translate(signs)


def _wrong_unit(number: str, unit: str, dimension: Dimension) -> QuantityError:
    """What the unit is if it is another dimension's, else how it is spelt here, if it is one that can be written."""
    for other in DIMENSIONS:
        if unit in other.spellings and other.name != dimension.name:
            hint = ""
            if dimension is TEMPERATURE_DIFFERENCE and unit in TEMPERATURE.spellings:
                hint = f'"{number} K"'
            return QuantityError(
                f"{unit!r} makes {other.name}; {dimension.name} is wanted here",
                allowed=_units(dimension),
                suggestion=hint,
            )
    near = respellings(unit, dimension.all_spellings)
    suggestion = f'"{number} {near[0]}"' if near else ""
    return QuantityError(
        f"{unit!r} is no unit of {dimension.name.removeprefix('a ').removeprefix('an ')}",
        allowed=_units(dimension),
        suggestion=suggestion,
    )


def _units(dimension: Dimension) -> str:
    """The units as a message lists them: each once, without its other spellings."""
    if dimension.shown:
        return dimension.shown
    other = ("u", "μ")
    return ", ".join(s for s in dimension.all_spellings if not s.startswith(other) and not set(s) & set("L*·°"))


if __name__ == "__main__":
    SCALES.write_text(scales_text(), "utf-8")
