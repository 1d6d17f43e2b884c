"""Readings that slowly move while a campaign runs: stocks age, films grow, a lamp settles.

What a recipe gives is meant as of now, so that an earlier reading is off by a drift that is zero at the present and the
less certain the older the reading is: a straight line in its age and a random walk away from it, of one scale that is
fitted to each output. Old readings then count for less, by as much as the readings themselves say. Replicates tell most
about it. Age is counted in experiments.
"""

import math

import numpy as np
from numpy.typing import NDArray

TERMS = 9
"""Functions of age that stand for drift: a line and the first terms of a random walk."""

OVER = 10.0
"""The scale of drift is that of a line and of a walk over so many experiments."""


def functions_of_age(ages: NDArray[np.float64]) -> NDArray[np.float64]:
    """Functions [n, 9] of ages [n] in experiments, zero at zero: drift is their sum with independent normal weights.

    The walk's are the first terms of its Karhunen-Loeve series on the interval of the ages (Loeve, Probability Theory,
    4th ed. 1978, section 37.5), whose covariance is the lesser of two ages.
    """
    longest = max(float(ages.max(initial=0.0)), 1.0)
    rates = (np.arange(TERMS - 1) + 0.5) * math.pi
    waves = math.sqrt(2.0 * longest / OVER) * np.sin(rates * ages[:, None] / longest) / rates
    return np.column_stack([ages / OVER, waves])
