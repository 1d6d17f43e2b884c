"""What goes into a planner and what comes out: frozen records, raw units throughout."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from planners.errors import PlannerError
from planners.objective import OUTPUTS, Wanted
from planners.space import SearchSpace

Prices = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Rows of raw units [n, d] -> what an experiment there costs [n], positive."""

Feasible = Callable[[NDArray[np.float64]], NDArray[np.bool_]]
"""Rows of raw units [n, d] -> which of them the rig may run [n]."""


LARGEST_READING = 1e100
"""A reading further from zero than this is none: its square would overflow on the way through a model."""


def _possible(value: float) -> bool:
    return abs(value) <= LARGEST_READING


def _possible_or_none(value: float | None) -> float | None:
    return float(value) if value is not None and _possible(value) else None


@dataclass(frozen=True)
class Observation:
    """One finished experiment. `x` is in raw units, in the order of the space.

    A reading that is NaN, infinite or beyond +-1e100 counts as absent. An observation without a peak is a failure
    whatever `failed` says; one that `failed` teaches the feasibility model only, even if it carries numbers.

    `values` holds the readings of an objective with outputs of its own, in their order (NaN where absent); the outputs
    of a campaign have fields of their own. `peak_sd_ev` is the noise of the first output in either case.
    """

    x: tuple[float, ...]
    peak_ev: float | None = None
    fwhm_ev: float | None = None
    quantum_yield: float | None = None
    peak_sd_ev: float | None = None
    failed: bool = False
    values: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in self.x):
            raise PlannerError(f"an observation at {self.x}: every coordinate must be finite")
        for name in (*OUTPUTS, "peak_sd_ev"):
            object.__setattr__(self, name, _possible_or_none(self._value(name)))
        if self.values is not None:
            kept = tuple(float(value) if _possible(value) else math.nan for value in self.values)
            object.__setattr__(self, "values", kept)
        first = self.peak_ev if self.values is None else next(iter(self.values), math.nan)
        if first is None or math.isnan(first):
            object.__setattr__(self, "failed", True)

    def _value(self, name: str) -> float | None:
        return {
            "peak_ev": self.peak_ev,
            "fwhm_ev": self.fwhm_ev,
            "quantum_yield": self.quantum_yield,
            "peak_sd_ev": self.peak_sd_ev,
        }[name]

    @property
    def readings(self) -> tuple[float, ...]:
        """Peak, width, yield, or the objective's own outputs; NaN where absent or where the experiment failed."""
        if self.values is not None:
            return tuple(math.nan for _ in self.values) if self.failed else self.values
        if self.failed:
            return (math.nan, math.nan, math.nan)
        peak, fwhm, bright = (math.nan if v is None else v for v in (self.peak_ev, self.fwhm_ev, self.quantum_yield))
        return (peak, fwhm, bright)


@dataclass(frozen=True)
class Price:
    """What experiments cost, in `unit`."""

    unit: str
    of: Prices


@dataclass(frozen=True)
class Archive:
    """Experiments of an earlier campaign, of another batch or of another rig, in the variables of the present one.

    How far it is to be trusted is learnt: to a model every archive is a feature of its own, zero in the present, with a
    gain that is fitted like that of any input. Where readings of the present contradict it, the difference is a smooth
    function over the recipes (as in Kennedy & O'Hagan, Biometrika 87:1, 2000); where they agree, both are pooled.

    Raises:
        PlannerError: no name.
    """

    name: str
    observations: tuple[Observation, ...]

    def __post_init__(self) -> None:
        if not self.name:
            raise PlannerError("an archive needs a name")


@dataclass(frozen=True)
class Request:
    """Everything that a proposal depends on.

    `pending` holds experiments proposed but not told; `initial` is the number of different recipes of the initial
    design; `feasible` says which recipes the rig may run now (None: all of the space). `candidates`, when given, are
    the only recipes that there are: proposals come from them, and none twice. `price`, when given, is weighed by the
    strategies whose acquisition is the logarithm of an improvement; others refuse it. Strategies with a model,
    guests too, also learn from `archives`, whose recipes count as part of the initial design but are not taken as run;
    others ignore them.

    Raises:
        PlannerError: a recipe with another number of coordinates than the space; candidates outside of it, or none;
            an archived recipe outside of it, or two archives of one name; readings of other outputs than the
            objective's; a negative seed or fewer than one initial point.
    """

    space: SearchSpace
    objective: Wanted
    observations: tuple[Observation, ...] = ()
    pending: tuple[tuple[float, ...], ...] = ()
    seed: int = 0
    initial: int = 8
    feasible: Feasible | None = None
    candidates: tuple[tuple[float, ...], ...] | None = None
    price: Price | None = None
    archives: tuple[Archive, ...] = ()

    def __post_init__(self) -> None:
        if self.space.sources != len(self.archives):
            object.__setattr__(self, "space", replace(self.space, sources=len(self.archives)))
        if self.seed < 0:
            raise PlannerError(f"the seed must be zero or positive, not {self.seed}")
        if self.initial < 1:
            raise PlannerError(f"the initial design needs at least one point, not {self.initial}")
        archived = [o.x for archive in self.archives for o in archive.observations]
        for kind, recipes in (
            ("observation", [o.x for o in self.observations]),
            ("pending recipe", self.pending),
            ("archived recipe", archived),
        ):
            for recipe in recipes:
                if len(recipe) != self.space.dimension:
                    raise PlannerError(
                        f"{kind} {recipe} has {len(recipe)} coordinates for the {self.space.dimension} variables "
                        f"{', '.join(self.space.names)}"
                    )
                if not bool(np.all(np.isfinite(recipe))):
                    raise PlannerError(f"{kind} {recipe}: every coordinate must be finite")
        names = [archive.name for archive in self.archives]
        if len(set(names)) < len(names):
            raise PlannerError(f"two archives have one name: {', '.join(names)}")
        outside = np.flatnonzero(~self.space.contains(archived))
        if len(outside):
            raise PlannerError(f"archived recipe {archived[int(outside[0])]} lies outside of the search space")
        wanted = self.objective.outputs
        for observation in self.known():
            if observation.values is None and not observation.failed and wanted != OUTPUTS:
                raise PlannerError(f"an observation at {observation.x} has no values of {', '.join(wanted)}")
            if observation.values is not None and len(observation.values) != len(wanted):
                raise PlannerError(
                    f"an observation at {observation.x} has {len(observation.values)} values for {', '.join(wanted)}"
                )
        if self.candidates is not None:
            if not self.candidates:
                raise PlannerError("a list of candidates must not be empty")
            strange = np.flatnonzero(~self.space.contains(self.candidates))
            if len(strange):
                raise PlannerError(f"candidate {self.candidates[int(strange[0])]} lies outside of the search space")

    def known(self) -> Iterator[Observation]:
        """Every observation: those of the present campaign, then those of the archives in their order."""
        yield from self.observations
        for archive in self.archives:
            yield from archive.observations


@dataclass(frozen=True)
class Interval:
    """A prediction: its mean and the ends of its 90 % interval."""

    mean: float
    low: float
    high: float


def _no_predictions() -> Mapping[str, Interval]:
    return MappingProxyType({})


@dataclass(frozen=True)
class OutOfReach:
    """The evidence that nothing reaches the target: the 90 % interval of a reading, of each candidate, leaves the
    tolerance out. `nearest` is the candidate whose interval comes closest, `missing` by how much it stays away."""

    target: float
    tolerance: float
    remaining: int
    nearest: tuple[float, ...]
    interval: Interval
    missing: float
    reason: str


@dataclass(frozen=True)
class Proposal:
    """The next experiment, and why. `x` is in raw units; `predicted` is keyed by the objective's outputs and empty in
    the initial phase; `acquisition_value` is in the units of `acquisition`; `compared` counts the candidates that were
    compared. `out_of_reach` is the verdict that nothing reaches the target, when there is one."""

    x: tuple[float, ...]
    strategy: str
    phase: Literal["initial", "model"]
    predicted: Mapping[str, Interval] = field(default_factory=_no_predictions)
    probability_feasible: float | None = None
    acquisition: str = ""
    acquisition_value: float | None = None
    compared: int = 0
    reason: str = ""
    out_of_reach: OutOfReach | None = None


@dataclass(frozen=True)
class Recommendation:
    """The recipe to hand to the chemist: `reproduced` (measured more than once), `measured` (once) or `model` (the
    surrogate's best guess, never run)."""

    x: tuple[float, ...]
    predicted: Mapping[str, Interval]
    basis: Literal["reproduced", "measured", "model"]
    reason: str


class Strategy(Protocol):
    """A way of choosing experiments. Both methods are pure: the same request gives the same answer on one machine."""

    @property
    def name(self) -> str:
        """The name under which `planners.strategy` builds it."""
        ...

    def propose(self, request: Request) -> Proposal:
        """The next experiment.

        Raises:
            PlannerError: no recipe of the space is allowed.
        """
        ...

    def recommend(self, request: Request) -> Recommendation:
        """The best recipe known so far.

        Raises:
            PlannerError: there is nothing to recommend, because no experiment gave a reading and no model has archives
                to learn from.
        """
        ...
