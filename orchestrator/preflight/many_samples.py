"""A large sample of recipes, for where limits and constraints leave so little room that a few find none."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from orchestrator.config.campaign import CampaignConfig
from orchestrator.config.inputs import Input
from orchestrator.config.rig import RigConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    Mask = NDArray[np.bool_]

MOST_SAMPLES = 65_536
"""So many recipes are looked at before a campaign is refused: as many as a planner looks at before it gives up."""
_CHUNK = 8192


def strides(size: int) -> list[float]:
    """How far each of ``size`` coordinates moves from one point of the additive recurrence to the next."""
    ratio = 2.0
    for _ in range(60):
        ratio = (1.0 + ratio) ** (1.0 / (size + 1))
    return [ratio ** -(axis + 1) % 1.0 for axis in range(size)]


class ManySamples:
    """The first 65,536 points of the recurrence that `orchestrator.preflight.findings.sample_recipes` begins with."""

    def __init__(self, campaign: CampaignConfig, rig: RigConfig) -> None:
        self._campaign = campaign
        self._rig = rig

    @cached_property
    def rows(self) -> Rows:
        """The recipes in base units, each input on its own scale, [n, inputs]."""
        import numpy as np

        entries = self._campaign.inputs.values()
        numbers = np.arange(1, MOST_SAMPLES + 1, dtype=np.float64)
        steps = strides(len(entries))
        columns = [_at(entry, (0.5 + numbers * step) % 1.0) for entry, step in zip(entries, steps, strict=True)]
        return np.column_stack(columns)

    def settable(self, *constraints: str) -> Mask:
        """Which of them the rig can be set to, where of the campaign's constraints only these hold: [n]."""
        import numpy as np

        from orchestrator.recipes.many_recipes import feasible_mask

        asked = self._campaign.model_copy(update={"constraints": constraints})
        allowed = feasible_mask(asked, self._rig, tuple(self._campaign.inputs))
        return np.concatenate([allowed(rows) for rows in np.split(self.rows, range(_CHUNK, MOST_SAMPLES, _CHUNK))])

    def recipes(self) -> Iterator[dict[str, float]]:
        """Those that the rig can be set to with all of the constraints."""
        names = tuple(self._campaign.inputs)
        for row in self.rows[self.settable(*self._campaign.constraints)]:
            yield dict(zip(names, map(float, row), strict=True))


def _at(entry: Input, fractions: Rows) -> Rows:
    """Values of an input at these fractions of its scale, [n]."""
    import numpy as np

    if entry.choices:
        places = np.minimum((fractions * len(entry.choices)).astype(np.int64), len(entry.choices) - 1)
        return np.array(entry.choices, dtype=np.float64)[places]
    if entry.scale == "log":
        return np.asarray(entry.low * (entry.high / entry.low) ** fractions, dtype=np.float64)
    return np.asarray(entry.low + fractions * (entry.high - entry.low), dtype=np.float64)
