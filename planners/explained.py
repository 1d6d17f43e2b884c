"""What an ensemble says of each input's part in each output: frozen records, raw units throughout."""

from dataclasses import dataclass
from typing import Literal

Finding = Literal["shown", "small", "unknown"]
"""`shown`: the readings show that the input changes the output. `small`: they do not, and at most 1 % of the output's
variance can come of it. `unknown`: the readings cannot tell."""


@dataclass(frozen=True)
class Band:
    """The median over an ensemble's draws, and the ends of their 90 % interval."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Change:
    """The largest change of an output along its dependence on one input: from the value `start` to the value `end`
    (raw units, `start < end`; indices of levels) the output changes `by`."""

    start: float
    end: float
    by: Band


@dataclass(frozen=True)
class Effect:
    """The part of one input in one output.

    `curve` is the partial dependence at every value of the input's grid. `first` and `total` are Sobol' indices: shares
    of the output's variance over the whole search space that come of this input alone, and of it in company too.
    """

    input: str
    output: str
    curve: tuple[Band, ...]
    change: Change
    first: Band
    total: Band
    finding: Finding


@dataclass(frozen=True)
class Input:
    """An input and where it was varied: `tried` are the least and the greatest value of recipes that gave a reading,
    `share` how much of the searched range lies between them (0 to 1). `grid` [k] is in raw units."""

    name: str
    unit: str
    levels: tuple[str, ...]
    log: bool
    continuous: bool
    grid: tuple[float, ...]
    tried: tuple[float, float]
    share: float


@dataclass(frozen=True)
class Explanation:
    """What readings of `recipes` different recipes say of every varied input and every output that was read often
    enough; `unread` names the other outputs."""

    described: str
    recipes: int
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    unread: tuple[str, ...]
    effects: tuple[Effect, ...]

    def effect(self, name: str, output: str) -> Effect:
        """The part of the input `name` in `output`. Raises KeyError."""
        for each in self.effects:
            if (each.input, each.output) == (name, output):
                return each
        raise KeyError(f"{name}, {output}")
