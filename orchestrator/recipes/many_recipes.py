"""Many recipes at once, for the planner: which of them the rig can be set to, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.config.campaign import CampaignConfig
from orchestrator.config.rig import RigConfig
from orchestrator.recipes.constraints import coherent_values, constraints_of
from orchestrator.recipes.hydraulics import highest_flow_ul_min
from orchestrator.recipes.plumbing import (
    NEGLIGIBLE,
    SINGULAR,
    SLACK,
    FlowPlan,
    concentrations_mm,
    duration,
    system_of,
    washout_s,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Settings:
    """What the rig would be set to for n recipes. ``determinate``: where the composition says all flows, [n]; elsewhere
    flows mean nothing. ``flows_ul_min`` [n, pumps], the others [n]."""

    determinate: Mask
    shares: Rows
    flows_ul_min: Rows
    total_ul_min: Rows
    residence_s: Rows
    temperature_c: Rows


class ManyRecipes:
    """Rows of shape (n, len(names)), in base units and in the order of ``names``, as the rig would take them."""

    def __init__(self, campaign: CampaignConfig, rig: RigConfig, names: Sequence[str]) -> None:
        import numpy as np

        self._campaign = campaign
        self._rig = rig
        self._system = system_of(campaign, rig)
        self._column = {name: index for index, name in enumerate(names)}
        size = len(self._system.pumps)
        self._constant = np.array([row.constant for row in self._system.rows]).reshape(-1, size)
        self._slope = np.array([row.slope for row in self._system.rows]).reshape(-1, size)
        self._stocks = concentrations_mm(campaign, rig)
        self._constraints = constraints_of(campaign, self._stocks)

    def settings(self, rows: Rows) -> Settings:
        """Flows, residence time and temperature of every row."""
        import numpy as np

        system, pumps = self._system, len(self._system.pumps)
        count = len(rows)
        values = np.empty((count, len(system.rows)))
        for index, row in enumerate(system.rows):
            values[:, index] = self._pick(rows, row.name, row.fixed)
        matrix = np.ones((count, pumps, pumps))
        matrix[:, 1:, :] = self._constant + values[:, :, None] * self._slope
        for index, row in enumerate(system.rows):
            if row.table:
                places = np.clip(np.rint(np.nan_to_num(values[:, index])), 0, len(row.table) - 1).astype(np.int64)
                matrix[:, 1 + index, :] = np.array(row.table)[places]
        matrix /= np.maximum(np.abs(matrix).max(axis=2, keepdims=True), 1e-300)
        finite = np.isfinite(matrix).all(axis=(1, 2))
        matrix[~finite] = np.eye(pumps)
        regular = np.abs(np.linalg.det(matrix)) > SINGULAR
        matrix[~regular] = np.eye(pumps)
        wanted = np.zeros((count, pumps, 1))
        wanted[:, 0] = 1.0
        shares = np.asarray(np.linalg.solve(matrix, wanted)[:, :, 0], dtype=np.float64)
        volume = self._rig.plumbing.reactor.volume_ul
        knob = self._pick(rows, system.flow.name, system.flow.fixed)
        with np.errstate(divide="ignore", invalid="ignore"):
            total = 60.0 * volume / knob if system.flow.kind == "residence_time" else knob
            residence = 60.0 * volume / total
            flows = shares * total[:, None]
        temperature = self._pick(rows, system.temperature.name, system.temperature.fixed)
        return Settings(finite & regular, shares, flows, total, residence, temperature)

    def feasible(self, rows: Rows) -> Mask:
        """Which rows :func:`orchestrator.recipes.plumbing.pump_flows` can set, [n]."""
        import numpy as np

        rows = as_rows(rows)
        made, limits = self.settings(rows), [self._rig.pump_range_ul_min(pump) for pump in self._system.pumps]
        lows, highs = np.array([low for low, _ in limits]), np.array([high for _, high in limits])
        flows, total = made.flows_ul_min, made.total_ul_min
        still = np.abs(made.shares) <= NEGLIGIBLE
        moving = (flows >= lows * (1.0 - SLACK)) & (flows <= highs * (1.0 + SLACK)) & (made.shares > 0.0)
        allowed: Mask = made.determinate & (still | moving).all(axis=1)
        flow_low, flow_high = self._rig.limits.total_flow_ul_min
        highest_flow = min(flow_high, highest_flow_ul_min(self._rig))
        allowed &= (total >= flow_low * (1.0 - SLACK)) & (total <= highest_flow * (1.0 + SLACK))
        low_c, high_c = self._rig.limits.temperature_c
        allowed &= made.temperature_c >= low_c - SLACK * abs(low_c)
        allowed &= made.temperature_c <= high_c + SLACK * abs(high_c)
        for constraint in self._constraints:
            allowed &= constraint.met(self._coherent(constraint.names, rows, made), len(rows))
        return allowed

    def dosing_s(self, rows: Rows) -> Rows:
        """How long dosing lasts at every row, as :func:`orchestrator.recipes.plumbing.duration` expects it, [n]."""
        made = self.settings(as_rows(rows))
        return self._dosing_s(made)

    def reagents_ul(self, rows: Rows) -> Rows:
        """What every row takes of all stocks that hold anything but solvent, [n]."""
        import numpy as np

        made = self.settings(as_rows(rows))
        holding = np.array([bool(self._stocks[pump]) for pump in self._system.pumps])
        flows = np.clip(made.flows_ul_min, 0.0, None)[:, holding].sum(axis=1)
        return np.asarray(flows * self._dosing_s(made) / 60.0, dtype=np.float64)

    def _dosing_s(self, made: Settings) -> Rows:
        still = duration(self._campaign, self._rig, FlowPlan({}, 0.0, 0.0, math.inf))
        washed_s = washout_s(self._campaign, self._rig, made.total_ul_min, made.residence_s)
        return washed_s + still.looks_s + still.measure_s

    def _pick(self, rows: Rows, name: str, fixed: float | None) -> Rows:
        import numpy as np

        return rows[:, self._column[name]] if fixed is None else np.full(len(rows), fixed)

    def _coherent(self, names: Collection[str], rows: Rows, made: Settings) -> dict[str, Rows]:
        import numpy as np

        with np.errstate(divide="ignore", invalid="ignore"):
            return coherent_values(
                self._campaign,
                self._stocks,
                names,
                recipe={name: rows[:, index] for name, index in self._column.items()},
                total_flow=made.total_ul_min,
                residence_time=made.residence_s,
                temperature=made.temperature_c,
                flows={pump: made.flows_ul_min[:, index] for index, pump in enumerate(self._system.pumps)},
            )


def as_rows(rows: Rows) -> Rows:
    """Rows as an array of floats."""
    import numpy as np

    return np.asarray(rows, dtype=np.float64)


def feasible_mask(campaign: CampaignConfig, rig: RigConfig, names: Sequence[str]) -> Callable[[Rows], Mask]:
    """A function that tells for many recipes at once whether `plumbing.pump_flows` can set them."""
    return ManyRecipes(campaign, rig, names).feasible
