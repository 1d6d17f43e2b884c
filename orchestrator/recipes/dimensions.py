"""Dimensions of parts of a formula, in coherent units: s, µL, K and nmol, and so µL/s and nmol/µL = mM."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from orchestrator import units

Exponents = tuple[float, float, float, float]
"""Powers of time, volume, temperature and amount."""


@dataclass(frozen=True)
class Dimension:
    """What a part of an inequality is. ``absolute``: a temperature on a scale whose zero means nothing."""

    exponents: Exponents = (0.0, 0.0, 0.0, 0.0)
    absolute: bool = False

    def times(self, other: Dimension, power: float = 1.0) -> Dimension:
        """This dimension multiplied by a power of another."""
        a, b = self.exponents, other.exponents
        return Dimension((a[0] + power * b[0], a[1] + power * b[1], a[2] + power * b[2], a[3] + power * b[3]))

    @property
    def words(self) -> str:
        """The dimension in words."""
        if self.absolute:
            return "a temperature"
        named = {number.exponents: words for number, words in _WORDS.items()}
        return named.get(self.exponents, f"a quantity in {self.unit}")

    @property
    def unit(self) -> str:
        """The unit in which values of this dimension are shown; empty for a pure number."""
        if self.absolute:
            return "degC"
        if self == FLOW:
            return "µl/min"
        if self == CONCENTRATION:
            return "mM"
        parts = [
            symbol if power == 1.0 else f"{symbol}^{power:g}"
            for symbol, power in zip(("s", "µl", "K", "nmol"), self.exponents, strict=True)
            if power
        ]
        return " ".join(parts)

    def shown(self, value: float) -> str:
        """A coherent value as a person would write it."""
        return f"{value * (60.0 if self == FLOW else 1.0):.4g} {self.unit}".rstrip()


NUMBER = Dimension()
TIME = Dimension((1.0, 0.0, 0.0, 0.0))
VOLUME = Dimension((0.0, 1.0, 0.0, 0.0))
FLOW = Dimension((-1.0, 1.0, 0.0, 0.0))
DIFFERENCE = Dimension((0.0, 0.0, 1.0, 0.0))
TEMPERATURE = Dimension((0.0, 0.0, 1.0, 0.0), absolute=True)
CONCENTRATION = Dimension((0.0, -1.0, 0.0, 1.0))
_WORDS = {
    NUMBER: "a pure number",
    TIME: "a time",
    VOLUME: "a volume",
    FLOW: "a flow rate",
    DIFFERENCE: "a temperature difference",
    CONCENTRATION: "a concentration",
}
_UNITS = (
    (units.TIME, TIME, 1.0),
    (units.VOLUME, VOLUME, 1.0),
    (units.FLOW, FLOW, 1.0 / 60.0),
    (units.CONCENTRATION, CONCENTRATION, 1.0),
    (units.TEMPERATURE_DIFFERENCE, DIFFERENCE, 1.0),
    (units.FRACTION, NUMBER, 1.0),
)


@cache
def spellings() -> Mapping[str, tuple[Dimension, float]]:
    """Every unit that may be written, as dimension and factor to the coherent unit; degrees Celsius are read apart."""
    table: dict[str, tuple[Dimension, float]] = {}
    for dimension, coherent, factor in _UNITS:
        for spelling, scale in units.scales()[dimension.name].items():
            table[spelling] = (coherent, float(scale.factor) * factor)
    table.update(dict.fromkeys(("degC", "°C"), (DIFFERENCE, 1.0)))
    return table


def coherent(number: str, unit: str) -> tuple[float, Dimension]:
    """A number with a unit, which may be composed as in ``K/min``, as a coherent value and its dimension.

    Raises KeyError for an unknown unit.
    """
    table = spellings()
    if unit in ("degC", "°C"):
        return float(number), TEMPERATURE
    if unit in table:
        dimension, factor = table[unit]
        return float(number) * factor, dimension
    value, result, sign = float(number), NUMBER, 1.0
    for part in re.split(r"([/*])", unit):
        if part in "/*":
            sign = -1.0 if part == "/" else 1.0
            continue
        dimension, factor = table[part]
        value, result = value * factor**sign, result.times(dimension, sign)
    return value, result
