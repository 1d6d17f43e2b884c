"""What happens between experiments so that readings stay comparable: sweeping with solvent, blank, reference."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from orchestrator.experiment.reference import Reference
from orchestrator.experiment.settling import BOUND_MARGIN, dead_time_s
from orchestrator.recipes.exposures import BLANK_SHARE, LEAST_ALLOWANCE_S, blank_allowance_s, blank_s
from orchestrator.recipes.plumbing import APPROACH_S, sweep_s

if TYPE_CHECKING:
    from orchestrator.config import CampaignConfig, RigConfig
    from orchestrator.experiment.measuring import Detector
    from orchestrator.rig.rig import Rig

_BLANK_S = 60.0
"""How long reading dark and blank takes, generously; longer where the spectra alone take longer."""


def solvent_flow_ul_min(rig: RigConfig, wanted_ul_min: float) -> float:
    """The wanted flow of solvent, as near to it as the rig and its solvent pump allow."""
    low, high = rig.limits.total_flow_ul_min
    slowest, fastest = rig.pump_range_ul_min(rig.plumbing.solvent_pump)
    return min(max(wanted_ul_min, low, slowest), high, fastest)


def fill_at_most_ul(campaign: CampaignConfig, rig: RigConfig) -> float:
    """The solvent that has to be there before the line is filled and the blank is read."""
    flow, fill_s = _filling(rig)
    return flow * (BOUND_MARGIN * fill_s + max(_BLANK_S, blank_s(campaign, rig))) / 60.0


def fill_expected_ul(campaign: CampaignConfig, rig: RigConfig) -> float:
    """What filling the line and reading the blank take, when all goes well."""
    flow, fill_s = _filling(rig)
    return flow * (fill_s + blank_s(campaign, rig)) / 60.0


def _filling(rig: RigConfig) -> tuple[float, float]:
    """Flow in µL/min and how long."""
    flow = solvent_flow_ul_min(rig, BLANK_SHARE * rig.limits.total_flow_ul_min.high)
    return flow, 2.0 * dead_time_s(rig, flow)


class Upkeep:
    """The solvent pump and the detector between experiments. Each method returns the data of the event it belongs to.

    The solvent goes on flowing when a method returns, bounded to what the next step may need.
    """

    def __init__(self, rig: Rig, detector: Detector, config: CampaignConfig) -> None:
        self._rig = rig
        self._detector = detector
        self._config = config
        self._reference: Reference | None = None

    @property
    def has_reference(self) -> bool:
        """Whether the spectrometer sees the lamp's own line through solvent; one for emission alone may not."""
        return self._reference is not None

    @property
    def bound_s(self) -> float:
        """How long one order of solvent may last."""
        return BOUND_MARGIN * (self._config.settle.timeout_s + LEAST_ALLOWANCE_S)

    async def idle(self) -> None:
        """Keep the line moving, as slowly as the rig allows."""
        await self._rig.flow({self._pump: self._flow_ul_min(0.0)}, self.bound_s)

    @property
    def fill_ul(self) -> dict[str, float]:
        """What filling the line and reading the blank take, by pump."""
        return {self._pump: fill_at_most_ul(self._config, self._rig.config)}

    def between_ul(self, total_flow_ul_min: float) -> dict[str, float]:
        """What flows before an experiment at such a flow, while the temperature changes and the line is swept."""
        flow = self._flow_ul_min(total_flow_ul_min)
        swept_ul = flow * sweep_s(self._rig.config, flow) / 60.0
        return {self._pump: swept_ul + self._flow_ul_min(0.0) * APPROACH_S / 60.0}

    async def fill(self) -> None:
        """Fill the line with solvent for the blank. Nothing is heated for it."""
        flow, fill_s = _filling(self._rig.config)
        await self._rig.flow({self._pump: flow}, BOUND_MARGIN * (fill_s + self._reading_s))
        await asyncio.sleep(fill_s)

    async def blank(self) -> dict[str, Any]:
        """Read dark and blank through the solvent that fills the cell."""
        blank = await self._detector.take_blank()
        rate = self._detector.blank_line_rate
        if self._reference is not None and rate is not None:
            self._reference.renew(rate)
        elif rate is not None:
            self._reference = Reference(rate, self._config.measure.reference_shift)
        return {**asdict(blank), "reagent_ul": await self._rig.count()}

    async def sweep(self, total_flow_ul_min: float) -> None:
        """Replace what is in reactor, transit tube and cell by solvent, at about this flow."""
        flow = self._flow_ul_min(total_flow_ul_min)
        swept_s = sweep_s(self._rig.config, flow)
        await self._rig.flow({self._pump: flow}, max(self.bound_s, BOUND_MARGIN * (swept_s + self._reading_s)))
        await asyncio.sleep(swept_s)

    async def check_reference(self) -> dict[str, Any]:
        """Read the lamp's own line through the solvent again. A small shift corrects the blank from now on.

        ``outcome``: "steady", "shifted" (the blank must be read again) or "lost" (nothing is seen as it was at first).
        """
        if self._reference is None:
            raise RuntimeError("the reference is asked for before the blank was taken")
        reading = await self._detector.read_reference()
        checked = self._reference.check(reading.line_rate)
        if checked.outcome == "steady":
            self._detector.correct_blank(1.0 + checked.shift)
        return {
            "outcome": checked.outcome,
            "shift": checked.shift,
            "shift_in_all": checked.shift_in_all,
            "integration_s": reading.integration_s,
            "spectrum": reading.spectrum,
        }

    @property
    def _reading_s(self) -> float:
        """The longest that reading the reference and the blank may take."""
        return blank_allowance_s(self._config, self._rig.config)

    @property
    def _pump(self) -> str:
        return self._rig.config.plumbing.solvent_pump

    def _flow_ul_min(self, wanted_ul_min: float) -> float:
        return solvent_flow_ul_min(self._rig.config, wanted_ul_min)
