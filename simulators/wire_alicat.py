"""Alicat mass flow controllers on the wire: units A to Z behind one byte stream (serial communications primer)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from simulators.byte_twin import ByteTwin
from simulators.plant import GasPlant

_LONGEST_COMMAND: Final = 60
_ML_MIN: Final = {"SCCM": 1.0, "SLPM": 1000.0}
_KPA_PER_PSI: Final = 6.894757293168361
_NORMAL_K: Final = 273.15
_NORMAL_KPA: Final = 101.325


class AlicatUnit:
    """One controller, in the units of its display. Its pressure is in PSIA, its standard volume at 25 °C.

    ``codes`` are shown at the end of each data frame: HLD, LCK and whatever a test adds.
    """

    def __init__(
        self,
        plant: GasPlant,
        *,
        full_scale: float = 100.0,
        flow_unit: Literal["SCCM", "SLPM"] = "SCCM",
        decimals: int = 2,
        gas: str = "N2",
        totalizer: bool = False,
        loop_variable: int = 37,
        reference_temperature_c: float = 25.0,
        version: str = "8v17.0-R23",
    ) -> None:
        if not full_scale > 0 or not 0 <= decimals <= 4:
            raise ValueError(f"full scale {full_scale} and {decimals} decimals make no display")
        self.plant = plant
        self.full_scale = full_scale
        self.decimals = decimals
        self.gas = gas
        self.totalizer = totalizer
        self.loop_variable = loop_variable
        self.version = version
        self.codes: set[str] = set()
        self.set_point = 0.0
        self._ml_min = _ML_MIN[flow_unit]
        self._mln_min = self._ml_min * _NORMAL_K / (_NORMAL_K + reference_temperature_c)

    def answer(self, t_s: float, unit: str, command: str) -> str:
        """Answer to what follows the unit ID."""
        if command == "":
            return self._frame(t_s, unit)
        if command == "VE":
            return f"{unit}   {self.version}"
        if command in {"R122", "$$R122"}:
            return f"{unit}   122 = {self.loop_variable}"
        if command in {"HP", "HC"}:
            self.codes.add("HLD")
            if command == "HC":
                self.plant.command(t_s, 0.0)
            return self._frame(t_s, unit)
        if command == "C":
            self.codes.discard("HLD")
            self._drive(t_s)
            return self._frame(t_s, unit)
        if command in {"L", "U"}:
            (self.codes.add if command == "L" else self.codes.discard)("LCK")
            return self._frame(t_s, unit)
        if match := re.fullmatch(r"S ?([+-]?\d+\.?\d*)", command):
            value = float(match[1])
        elif re.fullmatch(r"\d{1,5}", command):
            value = int(command) / 64000.0 * self.full_scale
        else:
            return "?"
        if not 0.0 <= value <= self.full_scale:
            return "?"
        self.set_point = round(value, self.decimals)
        self._drive(t_s)
        return self._frame(t_s, unit)

    def _drive(self, t_s: float) -> None:
        if "HLD" not in self.codes:
            self.plant.command(t_s, self.set_point * self._mln_min)

    def _frame(self, t_s: float, unit: str) -> str:
        mass_mln_min = self.plant.flow_mln_min(t_s)
        temperature_c, pressure_kpa = self.plant.temperature_c(t_s), self.plant.pressure_kpa(t_s)
        mass = mass_mln_min / self._mln_min
        actual_ml = mass_mln_min * (_NORMAL_K + temperature_c) / _NORMAL_K * _NORMAL_KPA / pressure_kpa
        volume = actual_ml / self._ml_min
        width = 5 + self.decimals
        flows = [f"{value:+0{width}.{self.decimals}f}" for value in (volume, mass, self.set_point)]
        if self.totalizer:
            flows.append(f"{0.0:+010.2f}")
        words = [unit, f"{pressure_kpa / _KPA_PER_PSI:+07.2f}", f"{temperature_c:+07.2f}", *flows, f"{self.gas:>6}"]
        return " ".join([*words, *sorted(self.codes)])


class AlicatTwin(ByteTwin):
    """Controllers on one serial line, by unit ID.

    Commands end with CR and do not care about case; a unit that is not there keeps silent, a command that is not known,
    or a set-point out of range, is answered with ``?`` (the latter assumed).
    """

    def __init__(self, units: Mapping[str, AlicatUnit]) -> None:
        if not units or not all(re.fullmatch(r"[A-Z]", unit) for unit in units):
            raise ValueError(f"unit IDs are A to Z, not {sorted(units)}")
        super().__init__()
        self._units = dict(units)

    def _take(self) -> None:
        for line in self._lines(b"\r", _LONGEST_COMMAND):
            text = line.decode("latin-1").strip().upper()
            unit = self._units.get(text[:1])
            if unit is not None:
                answer = unit.answer(self._loop.time(), text[:1], text[1:].strip())
                self._emit(answer.encode("ascii", "replace") + b"\r")
