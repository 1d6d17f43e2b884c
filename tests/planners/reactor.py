"""A small made-up reactor: smooth peak, width and yield over three inputs, and a corner that gives no reading."""

import math

import numpy as np

from planners import Objective, Observation, Request, SearchSpace, Strategy, Variable

SPACE = SearchSpace(
    (
        Variable("halide_ratio", 0.0, 1.0),
        Variable("temperature_c", 60.0, 180.0, unit="degC"),
        Variable("residence_s", 5.0, 300.0, scale="log", unit="s"),
    )
)
OBJECTIVE = Objective(target_peak_ev=2.25, tolerance_ev=0.005)


def observe(x: tuple[float, ...]) -> Observation:
    """The reactor's noiseless answer; the hot and slow corner is dark."""
    ratio, temperature, residence = SPACE.to_unit([x])[0]
    if temperature + residence > 1.6:
        return Observation(x, failed=True)
    extent = ratio * (1.0 - math.exp(-1.0 - 2.0 * temperature - 2.0 * residence))
    peak = 1.85 + 1.0 / (1.0 + math.exp(-6.0 * (extent - 0.45))) + 0.05 * (1.0 - residence)
    return Observation(x, peak, 0.08 + 0.1 * extent * (1.0 - extent), 0.9 - 0.5 * (temperature - 0.4) ** 2, 0.001)


def campaign(strategy: Strategy, experiments: int, seed: int = 0, initial: int = 6) -> tuple[Observation, ...]:
    """Run a strategy on the reactor."""
    observations: tuple[Observation, ...] = ()
    for _ in range(experiments):
        proposal = strategy.propose(Request(SPACE, OBJECTIVE, observations, seed=seed, initial=initial))
        observations = (*observations, observe(proposal.x))
    return observations


def design(count: int, seed: int = 0) -> tuple[Observation, ...]:
    """`count` experiments at random recipes."""
    rng = np.random.default_rng(seed)
    recipes = SPACE.from_unit(rng.random((count, SPACE.dimension)))
    return tuple(observe(tuple(float(v) for v in row)) for row in recipes)


def nearest_ev(observations: tuple[Observation, ...]) -> float:
    """Distance of the nearest reading from the target."""
    return min(abs(o.peak_ev - OBJECTIVE.target_peak_ev) for o in observations if o.peak_ev is not None)
