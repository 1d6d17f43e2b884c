"""How a reading compares with the interval that was stated for it beforehand."""

from __future__ import annotations

import math

from planners import Interval

_NORMAL_90 = 3.2897
"""Width of a normal 90 % interval, in standard deviations."""


def covers(interval: Interval, reading: float) -> bool:
    """Whether a reading lies within."""
    return interval.low <= reading <= interval.high


def nll(interval: Interval, reading: float) -> float:
    """The negative log density of a reading, in its unit, if the interval is a normal one."""
    sd = max((interval.high - interval.low) / _NORMAL_90, 1e-9)
    return 0.5 * math.log(2.0 * math.pi) + math.log(sd) + 0.5 * ((reading - interval.mean) / sd) ** 2
