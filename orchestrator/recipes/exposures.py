"""How many spectra the steps of an experiment take, and for how long that keeps the pumps running.

As expected: every spectrum at an exposure of middling length (the geometric mean of those that are wanted and
possible), which changes once. At the longest: every one at the longest exposure, each tried as often as it may be.
Spectrometers whose own software sets the exposure make one spectrum after the other at their own pace.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from orchestrator.config.quantities import Range

if TYPE_CHECKING:
    from orchestrator.config import CampaignConfig, RigConfig

RANGE_ATTEMPTS = 5
"""How often the exposure is changed for one spectrum."""
LEAST_ALLOWANCE_S = 300.0
"""Pumps may run for so long beyond the waiting, however little there is to measure."""
BLANK_SHARE = 0.5
"""The line is filled for the blank at this share of the rig's highest total flow."""
DARK_PROBE_S = 1.0
"""The longer one of the two exposures at which the dark is modelled."""


def common_range_s(wanted_s: Range, possible_s: tuple[float, float]) -> tuple[float, float]:
    """The exposures that are wanted and possible; the detector's own where there is but one."""
    low_s, high_s = possible_s
    return min(max(wanted_s.low, low_s), high_s), max(min(wanted_s.high, high_s), low_s)


def spectrum_s(campaign: CampaignConfig, rig: RigConfig, waited_s: float = 0.0) -> float:
    """How long one spectrum takes that is asked for ``waited_s`` after the one before, as expected."""
    low_s, high_s = common_range_s(campaign.measure.integration_s, rig.detector.exposure_range_s)
    return rig.detector.spectrum_s(math.sqrt(low_s * high_s), waited_s)


def looking_s(campaign: CampaignConfig, rig: RigConfig) -> float:
    """What the looks take, with the waits between them, as expected."""
    return _looks_s(campaign, rig, campaign.settle.looks)


def undecided_s(campaign: CampaignConfig, rig: RigConfig) -> float:
    """When the last look is at the earliest decided on: all others are over, as expected. By then time must not be
    up."""
    return _looks_s(campaign, rig, campaign.settle.looks - 1)


def _looks_s(campaign: CampaignConfig, rig: RigConfig, looks: int) -> float:
    later_s = spectrum_s(campaign, rig, campaign.settle.look_interval_s)
    return _first_spectra(campaign, rig) * spectrum_s(campaign, rig) + (looks - 1) * later_s


def measuring_s(campaign: CampaignConfig, rig: RigConfig) -> float:
    """What a measurement takes, as expected."""
    return (1 + _repeated(campaign, rig)) * spectrum_s(campaign, rig) + _switching_s(rig)


def dim_s(campaign: CampaignConfig, rig: RigConfig) -> float:
    """How much longer looks and measurement take than expected where light is so dim that all exposures are the
    longest."""
    spectra = _first_spectra(campaign, rig) + campaign.settle.looks + _repeated(campaign, rig)
    _, longest_s = common_range_s(campaign.measure.integration_s, rig.detector.exposure_range_s)
    return spectra * (rig.detector.spectrum_s(longest_s) - spectrum_s(campaign, rig))


def blank_s(campaign: CampaignConfig, rig: RigConfig) -> float:
    """What reading dark and blank takes, as expected."""
    return _blank_spectra(campaign, rig, 1) * spectrum_s(campaign, rig) + 2.0 * _switching_s(rig)


def reference_s(campaign: CampaignConfig, rig: RigConfig) -> float:
    """What reading the lamp's own line again takes, as expected."""
    return (campaign.measure.discard + campaign.measure.repeats) * spectrum_s(campaign, rig)


def measuring_allowance_s(campaign: CampaignConfig, rig: RigConfig) -> float:
    """How long the pumps may have to run on once settling has used up its time: a last look, then the measurement."""
    spectra = 2 * _ranged(campaign, rig) + _repeated(campaign, rig)
    longest_s = spectra * _longest_spectrum_s(campaign, rig) + _switching_s(rig)
    return max(LEAST_ALLOWANCE_S, campaign.settle.look_interval_s + longest_s)


def blank_allowance_s(campaign: CampaignConfig, rig: RigConfig) -> float:
    """How long solvent may have to run on once the line is filled: the reference, then dark and blank."""
    measure = campaign.measure
    spectra = measure.discard + measure.repeats + _blank_spectra(campaign, rig, RANGE_ATTEMPTS)
    return max(LEAST_ALLOWANCE_S, spectra * _longest_spectrum_s(campaign, rig) + 2.0 * _switching_s(rig))


def _first_spectra(campaign: CampaignConfig, rig: RigConfig) -> int:
    """Spectra of the first look: the exposure changes once where it can."""
    return 1 if _fixed(rig) else 2 + campaign.measure.discard


def _fixed(rig: RigConfig) -> bool:
    shortest_s, longest_s = rig.detector.exposure_range_s
    return shortest_s == longest_s


def _longest_spectrum_s(campaign: CampaignConfig, rig: RigConfig) -> float:
    low_s, high_s = rig.detector.exposure_range_s
    _, wanted_s = common_range_s(campaign.measure.integration_s, (low_s, high_s))
    return rig.detector.spectrum_s(max(wanted_s, min(max(DARK_PROBE_S, low_s), high_s)))


def _ranged(campaign: CampaignConfig, rig: RigConfig) -> int:
    """The most spectra until the exposure is right."""
    return 1 if _fixed(rig) else 1 + RANGE_ATTEMPTS * (campaign.measure.discard + 1)


def _repeated(campaign: CampaignConfig, rig: RigConfig) -> int:
    """Spectra of a measurement at the exposure that is right: those thrown away, the repeats, and their darks."""
    measure = campaign.measure
    lit = measure.discard + measure.repeats
    return lit if rig.detector.dark_subtracted else lit + measure.dark_repeats + 2 * measure.discard


def _blank_spectra(campaign: CampaignConfig, rig: RigConfig, attempts: int) -> int:
    """Spectra of dark and blank, the exposure of the blank tried so often; one tells the wavelengths."""
    measure = campaign.measure
    lit = 1 + attempts + (attempts + 3) * measure.discard + measure.repeats
    return lit if rig.detector.dark_subtracted else lit + 3 * measure.dark_repeats + 6 * measure.discard


def _switching_s(rig: RigConfig) -> float:
    """What the lamp takes to be steady after it was switched off for a dark, and on again."""
    return 0.0 if rig.detector.dark_subtracted else 2.0 * rig.detector.lamp_settle_s
