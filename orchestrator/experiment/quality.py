"""The quality gate: which rules a campaign sets, and an analysis as the journal keeps it. No value is ever invented."""

from __future__ import annotations

from typing import Any

from orchestrator.config import CampaignConfig
from orchestrator.spectra.analysis import Analysis, QualityRules


def rules_of(config: CampaignConfig) -> QualityRules:
    """The rules of a campaign file as the analysis takes them."""
    rules = config.quality
    return QualityRules(
        saturation_fraction=rules.saturation_fraction,
        min_signal_to_noise=rules.min_signal_to_noise,
        max_fwhm_ev=rules.max_fwhm_ev,
        min_absorbance=rules.min_absorbance,
        second_peak_fraction=rules.second_peak_fraction,
        max_repeat_scatter_ev=rules.max_repeat_scatter_ev,
        max_light_step=rules.max_light_step,
    )


def analysed_data(n: int, analysis: Analysis, *, drifting: bool, disturbed: tuple[str, ...] = ()) -> dict[str, Any]:
    """Data of the ``analysed`` event.

    A line that was still moving when time ran out is flagged, not scored; so is one whose reactor was disturbed.
    """
    flags = [*analysis.flags, *(["drifting"] if drifting and "drifting" not in analysis.flags else [])]
    flags += ["disturbed"] if disturbed else []
    accepted = analysis.peak_ev is not None and not flags
    return {
        "n": n,
        "peak_ev": analysis.peak_ev,
        "peak_sd_ev": analysis.peak_sd_ev,
        "fwhm_ev": analysis.fwhm_ev,
        "fwhm_sd_ev": analysis.fwhm_sd_ev,
        "quantum_yield": analysis.quantum_yield,
        "quantum_yield_sd": analysis.quantum_yield_sd,
        "absorbance": analysis.absorbance,
        "signal_to_noise": analysis.signal_to_noise,
        **({} if analysis.shape is None else {"shape": analysis.shape.data}),
        "flags": flags,
        "accepted": accepted,
        "reason": "" if accepted else ", ".join([*flags, *disturbed]),
    }


def unread_data(n: int, flag: str, reason: str) -> dict[str, Any]:
    """Data of the ``analysed`` event of an experiment that never came to a spectrum."""
    nothing = Analysis(None, None, None, None, None, None, None, 0.0, ())
    return {**analysed_data(n, nothing, drifting=False), "flags": [flag], "reason": reason}
