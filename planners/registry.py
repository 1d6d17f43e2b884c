"""Strategies by name."""

import dataclasses
from collections.abc import Callable
from typing import Any

from planners.ax import Ax
from planners.baybe import BayBE
from planners.bofire import BoFire
from planners.designs import latin_design, random_design, sobol_design
from planners.ensemble import Ensemble
from planners.errors import PlannerError, did_you_mean
from planners.evolution import CmaEs, Genetic
from planners.forest import Boosting, Forest, SupportVectors
from planners.gp import CompositeGP, ScalarGP
from planners.kriging import Kriging
from planners.records import Strategy
from planners.simplex import NelderMead
from planners.snobfit import Snobfit

_BUILDERS: dict[str, Callable[..., Strategy]] = {
    "ensemble": Ensemble,
    "gp": CompositeGP,
    "gp_scalar": ScalarGP,
    "kriging": Kriging,
    "forest": Forest,
    "boosting": Boosting,
    "support_vectors": SupportVectors,
    "snobfit": Snobfit,
    "genetic": Genetic,
    "cma_es": CmaEs,
    "nelder_mead": NelderMead,
    "baybe": BayBE,
    "ax": Ax,
    "bofire": BoFire,
    "latin": latin_design,
    "sobol": sobol_design,
    "random": random_design,
}


def strategy(name: str, **settings: int | str) -> Strategy:
    """The strategy of that name, with its settings (see the class of each for what it takes).

    Raises:
        PlannerError: an unknown name or setting (with the nearest known one), or a value out of range.
    """
    builder = _BUILDERS.get(name)
    if builder is None:
        raise PlannerError(f"no strategy {name!r}: {did_you_mean(name, _BUILDERS)}")
    known = strategy_settings(name)
    for setting, value in settings.items():
        if setting not in known:
            raise PlannerError(f"strategy {name!r} has no setting {setting!r}: {did_you_mean(setting, known)}")
        word = isinstance(known[setting], str)
        if isinstance(value, bool) or not isinstance(value, str if word else int):
            wanted = "a word" if word else "a whole number"
            raise PlannerError(f"strategy {name!r}: {setting} must be {wanted}, not {value!r}")
    return builder(**settings)


def strategy_names() -> tuple[str, ...]:
    """Every name that `strategy` knows."""
    return tuple(_BUILDERS)


def strategy_settings(name: str) -> dict[str, int | str]:
    """The settings of a strategy with their defaults: whole numbers, and words.

    Raises:
        PlannerError: an unknown name.
    """
    builder: Any = _BUILDERS.get(name)
    if builder is None:
        raise PlannerError(f"no strategy {name!r}: {did_you_mean(name, _BUILDERS)}")
    if not dataclasses.is_dataclass(builder):
        return {}
    return {field.name: field.default for field in dataclasses.fields(builder) if isinstance(field.default, int | str)}
