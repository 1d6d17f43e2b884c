"""Tolerances and widths that are written in nm: how much energy they are depends on the peak that they belong to."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

from orchestrator import units
from orchestrator.units import HC_EV_NM

Path = tuple[str | int, ...]

WIDTHS: tuple[Path, ...] = (
    ("fwhm", "scale"),
    ("desirability", "fwhm", "full_at"),
    ("desirability", "fwhm", "none_at"),
)
DISTANCES: tuple[Path, ...] = (("peak", "tolerance"), ("desirability", "peak", "none_beyond"))
OF_A_STEP = ("at_most", "improvement")


def in_energy(objective: Any) -> Any:
    """An objective as a file says it, with its tolerances and widths in eV where they are in nm.

    All are taken at the first target, but for the tolerance of a further target, which is taken at its own; also where
    it is the first one's, because it has none. Whatever is no objective, no target or no difference is left as it is,
    for its own field to refuse.
    """
    peak = _at(objective, ("peak",))
    if not isinstance(peak, dict):
        return objective
    said = copy.deepcopy(objective)
    inherited = _at(peak, ("tolerance",))
    for index, further in enumerate(_members(said, "then")):
        if _nm(inherited) is not None:
            further.setdefault("tolerance", inherited)
        _convert(said, ("then", index, "tolerance"), distance_ev, further.get("target"))
    target = peak.get("target")
    for path in DISTANCES:
        _convert(said, path, distance_ev, target)
    steps = [n for n, step in enumerate(_members(said, "in_order")) if step.get("kind") == "fwhm"]
    for path in (*WIDTHS, *(("in_order", n, key) for n in steps for key in OF_A_STEP)):
        _convert(said, path, width_ev, target)
    return said


def distance_ev(distance_nm: float, wavelength_nm: float) -> float:
    """The energy that lies so far from a wavelength; of the two sides the red one, where it is less.

    So whatever is within it is within the distance in nm, too.
    """
    return HC_EV_NM * distance_nm / (wavelength_nm * (wavelength_nm + distance_nm))


def width_ev(width_nm: float, wavelength_nm: float) -> float:
    """The energy between the two ends of a line of this width in nm; infinite for one that reaches down to 0 nm."""
    blue = wavelength_nm - width_nm / 2.0
    return HC_EV_NM * width_nm / (blue * (blue + width_nm)) if blue > 0.0 else math.inf


def _convert(said: Any, path: Path, energy_ev: Callable[[float, float], float], target: object) -> None:
    difference_nm = _nm(_at(said, path))
    if difference_nm is None:
        return
    # What is no difference at all is told as it would be in eV: out of range.
    difference_ev = min(energy_ev(difference_nm, _wavelength_nm(target)), 1e6) if difference_nm > 0.0 else -1.0
    _at(said, path[:-1])[path[-1]] = f"{difference_ev!r} eV"


def _wavelength_nm(target: object) -> float:
    """Of a target; of some line where it is none, since that is refused by itself, and once is enough."""
    try:
        energy_ev = units.parse_quantity(target, units.ENERGY)
    except units.QuantityError:
        energy_ev = 0.0
    return HC_EV_NM / energy_ev if energy_ev > 0.0 else 500.0


def _nm(value: object) -> float | None:
    """The number of a text in nm; None for everything else."""
    if not isinstance(value, str) or not value.rstrip().endswith("nm"):
        return None
    try:
        return units.parse_quantity(value, units.WAVELENGTH)
    except units.QuantityError:
        return None


def _members(said: Any, key: str) -> Iterator[dict[str, Any]]:
    """The mappings of a list, as far as they come first."""
    listed = said.get(key)
    for member in listed if isinstance(listed, list | tuple) else ():
        if not isinstance(member, dict):
            return
        yield member


def _at(said: Any, path: Path) -> Any:
    """What stands at the end of a path; None where it does not exist."""
    for step in path:
        if isinstance(step, str) and isinstance(said, dict):
            said = said.get(step)
        elif isinstance(step, int) and isinstance(said, list | tuple) and step < len(said):
            said = said[step]
        else:
            return None
    return said
