"""One campaign of a planner on a twin without its rig, and what it showed."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.stats import qmc

from planners import Archive, Objective, Observation, PlannerError, Request, Strategy, strategy
from tests.benchmarks import forecasts
from tests.benchmarks.twin_reactor import Batch, Salt, TwinReactor

Condition = Literal["cold", "drift", "archive", "archive_of_another_batch"]

TARGETS_EV = tuple(round(1.9 + 0.1 * step, 1) for step in range(11))
MOST_IODIDE_EV = 2.45
"""Up to here iodide is in the syringe, beyond it chloride: a chemist knows which way a salt shifts the line."""
TOLERANCE_EV = 0.001
INITIAL = 8
DRIFT_EV = 0.0002
"""How much higher every recipe's line lies with every experiment, in the condition `drift`: stocks age. What is scored
is the line as of the experiment itself, and of the next one for a recommendation."""
LOOKS: dict[str, tuple[int, ...]] = {
    "cold": (5, 10, 15, 25),
    "drift": (5, 10, 15, 25),
    "archive": (1, 3, 5, 10),
    "archive_of_another_batch": (1, 3, 5, 10),
}
"""After how many experiments the recommendation is asked for; the last is the budget."""
ARCHIVE_SIZE = 250
"""Experiments of the archive, half of them with each salt; a campaign can use the half that has its own salt."""


@dataclass(frozen=True)
class Run:
    """One campaign. All by the number of experiments in ``LOOKS``; NaN where nothing was recommended or read.

    ``truth_mev``: distance from the target of the recommended recipe's noiseless peak. ``reading_mev``: that of the
    best reading. ``to_5_mev``, ``to_1_mev``: experiments until the noiseless peak of a recipe that was run was so near;
    None: never. ``fwhm_mev`` and ``quantum_yield``: noiseless, of the last recommendation. ``covered`` and ``nll``:
    whether each reading lay within its 90 % interval, and its negative log density (in eV) there. ``seconds``: of each
    proposal by a model.
    """

    arm: str
    inputs: int
    condition: str
    target_ev: float
    seed: int
    truth_mev: tuple[float, ...]
    reading_mev: tuple[float, ...]
    to_5_mev: int | None
    to_1_mev: int | None
    fwhm_mev: float
    quantum_yield: float
    failures: int
    covered: tuple[bool, ...]
    nll: tuple[float, ...]
    volume_ml: float
    reactor_h: float
    seconds: tuple[float, ...]


def salt_for(target_ev: float) -> Salt:
    """The salt that shifts bromide's line towards a target."""
    return "iodide" if target_ev < MOST_IODIDE_EV else "chloride"


def one_run(arm: str, inputs: Literal[5, 8], condition: Condition, target_ev: float, seed: int) -> Run:
    """Run a campaign to its budget, and score its recommendations on the noiseless twin."""
    reactor = TwinReactor(inputs, salt_for(target_ev))
    planner = strategy(arm)
    objective = Objective(target_ev, TOLERANCE_EV)
    looks = LOOKS[condition]
    rng = np.random.default_rng([seed, round(1000.0 * target_ev), inputs])
    archives = earlier(inputs, reactor.salt, condition, seed)
    told: list[Observation] = []
    truths, readings, covered, nll, seconds = [], [], [], [], []
    nearest, volume_ml, reactor_h = math.inf, 0.0, 0.0
    last = None
    first: dict[float, int] = {}
    while len(told) < looks[-1]:
        request = Request(
            reactor.space,
            objective,
            tuple(told),
            seed=seed,
            initial=INITIAL,
            feasible=reactor.feasible,
            archives=archives,
        )
        began = time.perf_counter()
        proposal = planner.propose(request)
        if proposal.phase == "model":
            seconds.append(round(time.perf_counter() - began, 4))
        drift_ev = _drift_ev(condition, len(told))
        seen = reactor.observe(proposal.x, rng, drift_ev)
        told.append(seen)
        cost = reactor.price(proposal.x)
        volume_ml, reactor_h = volume_ml + cost[0], reactor_h + cost[1]
        if not seen.failed and seen.peak_ev is not None:
            nearest = min(nearest, abs(seen.peak_ev - target_ev))
            if "peak_ev" in proposal.predicted:
                covered.append(forecasts.covers(proposal.predicted["peak_ev"], seen.peak_ev))
                nll.append(forecasts.nll(proposal.predicted["peak_ev"], seen.peak_ev))
            away_mev = 1000.0 * abs(reactor.truth(proposal.x).peak_ev + drift_ev - target_ev)
            for bound in (5.0, 1.0):
                if away_mev < bound:
                    first.setdefault(bound, len(told))
        if len(told) in looks:
            readings.append(1000.0 * nearest if math.isfinite(nearest) else math.nan)
            last = _recommended(planner, request, tuple(told))
            now_ev = target_ev - _drift_ev(condition, len(told))
            truths.append(math.nan if last is None else 1000.0 * abs(reactor.truth(last).peak_ev - now_ev))
    final = None if last is None else reactor.truth(last)
    return Run(
        arm,
        inputs,
        condition,
        target_ev,
        seed,
        tuple(round(each, 4) for each in truths),
        tuple(round(each, 4) for each in readings),
        first.get(5.0),
        first.get(1.0),
        math.nan if final is None else round(1000.0 * final.fwhm_ev, 2),
        math.nan if final is None else round(final.quantum_yield, 4),
        sum(each.failed for each in told),
        tuple(covered),
        tuple(round(each, 4) for each in nll),
        round(volume_ml, 3),
        round(reactor_h, 3),
        tuple(seconds),
    )


def _drift_ev(condition: Condition, before: int) -> float:
    """How much higher every line lies after so many experiments."""
    return DRIFT_EV * before if condition == "drift" else 0.0


def earlier(inputs: Literal[5, 8], salt: Salt, condition: Condition, seed: int) -> tuple[Archive, ...]:
    """What a campaign knows beforehand: nothing, or Sobol recipes run with its salt, maybe on another batch."""
    if not condition.startswith("archive"):
        return ()
    rng = np.random.default_rng([seed, inputs, salt == "iodide", 0xA2C])
    batch = Batch.drawn(rng) if condition == "archive_of_another_batch" else Batch()
    reactor = TwinReactor(inputs, salt, batch)
    recipes = reactor.space.from_unit(qmc.Sobol(inputs, rng=rng).random(512))
    recipes = recipes[reactor.feasible(recipes)][: ARCHIVE_SIZE // 2]
    return (Archive("earlier", tuple(reactor.observe(tuple(map(float, x)), rng) for x in recipes)),)


def _recommended(planner: Strategy, request: Request, told: tuple[Observation, ...]) -> tuple[float, ...] | None:
    try:
        return planner.recommend(replace(request, observations=told)).x
    except PlannerError:
        return None
