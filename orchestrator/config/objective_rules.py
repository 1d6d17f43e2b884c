"""What must hold between the parts of an objective, and between it and what the detector sees."""

from __future__ import annotations

import math
from collections.abc import Iterator

from orchestrator.config.campaign import CampaignConfig
from orchestrator.config.objective import DesirabilityConfig, FurtherTarget, FwhmStep, PeakTarget, YieldStep, bound_of
from orchestrator.config.rig import RigConfig
from orchestrator.errors import Problem
from orchestrator.units import HC_EV_NM
from orchestrator.yaml_source import Document

Path = tuple[str | int, ...]


def check_objective(document: Document, campaign: CampaignConfig, rig: RigConfig) -> list[Problem]:
    """Targets that the detector cannot see or that are listed twice, terms that exclude each other or ask in vain."""
    if campaign.objective.shape is not None or campaign.objective.peak is None:
        return [*_looked_at(document, campaign, rig), *_shape(document, campaign, rig)]
    return [
        *_looked_at(document, campaign, rig),
        *_targets(document, campaign, rig),
        *_ways(document, campaign),
        *_brightness(document, campaign, rig),
        *_plateau(document, campaign),
    ]


def _looked_at(document: Document, campaign: CampaignConfig, rig: RigConfig) -> Iterator[Problem]:
    """A campaign about emission on a rig that looks at absorption, or the reverse: its target is another number."""
    wanted, seen = campaign.measure.spectra, "emission" if rig.detector.sees_emission else "absorption"
    if wanted is not None and wanted != seen:
        message = f"the detector {rig.plumbing.detector!r} of {rig.name!r} looks at {seen}"
        yield document.problem(("measure", "spectra"), message, allowed=f"{seen} on this rig")


def _shape(document: Document, campaign: CampaignConfig, rig: RigConfig) -> Iterator[Problem]:
    """A target spectrum is all that is wanted, is one, and lies where the detector sees."""
    from orchestrator.spectra.shape import MOST_OUTSIDE, NoTargetError, outside

    wanted, path = campaign.objective, ("objective", "shape")
    if wanted.shape is None:
        yield document.problem(
            ("objective", "peak"), "missing", at_key=True, allowed="a peak, or the shape of a spectrum"
        )
        return
    for name, key in (("peak", "peak"), ("then", "then"), ("fwhm", "fwhm"), ("quantum_yield", "yield")):
        if name in wanted.model_fields_set:
            message = "a target spectrum says itself where the light is to be: leave this out"
            yield document.problem(("objective", key), message, at_key=True)
    for key, given in (("desirability", wanted.desirability), ("in_order", wanted.in_order)):
        if given is not None:
            message = "a target spectrum says itself where the light is to be: leave this out"
            yield document.problem(("objective", key), message, at_key=True)
    if not rig.detector.sees_emission:
        message = f"the detector {rig.plumbing.detector!r} looks at absorption, and a shape is one of emission"
        yield document.problem(path, message, at_key=True)
    if campaign.archives:
        message = "archives hold peaks, and no spectra to learn a shape from"
        yield document.problem(("archives",), message, at_key=True)
    if campaign.stop.out_of_reach is not None:
        message = "whether a target spectrum is out of reach is not told: leave this out"
        yield document.problem(("stop", "out_of_reach"), message, at_key=True)
    rule = campaign.stop.plateau
    if rule is not None and rule.improvement_ev is None:
        yield document.problem(("stop", "plateau"), "what counts as no improvement? Add improvement", at_key=True)
    where = (*path, "text" if wanted.shape.file is None else "file")
    try:
        target = wanted.shape.spectrum
    except NoTargetError as error:
        yield document.problem(where, str(error), at_key=wanted.shape.file is None)
        return
    window = rig.detector.emission_nm
    share = outside(target, window.low, window.high)
    if share > MOST_OUTSIDE:
        message = f"{100.0 * share:.0f} % of its light lies outside the detector's emission window"
        allowed = f"light from {window.low:g} nm to {window.high:g} nm"
        yield document.problem(where, message, at_key=wanted.shape.file is None, allowed=allowed)


def _targets(document: Document, campaign: CampaignConfig, rig: RigConfig) -> Iterator[Problem]:
    wanted = campaign.objective
    aims: list[tuple[Path, PeakTarget | FurtherTarget]] = [(("objective", "peak"), wanted.aim)]
    aims += [(("objective", "then", index), each) for index, each in enumerate(wanted.then)]
    seen: list[float] = []
    for path, aim in aims:
        yield from _in_window(document, path, aim.target_ev, rig)
        if any(abs(aim.target_ev - other) < 1e-6 for other in seen):
            yield document.problem((*path, "target"), "this target is listed twice")
        if aim.tolerance_ev is not None and aim.tolerance_ev >= aim.target_ev:
            yield document.problem((*path, "tolerance"), "wider than the target itself")
        seen.append(aim.target_ev)
    if 1 < len(seen) > campaign.budget.experiments:
        message = f"{len(seen)} targets need as many experiments at the least"
        yield document.problem(("budget", "experiments"), message)


def _in_window(document: Document, path: Path, target_ev: float, rig: RigConfig) -> Iterator[Problem]:
    window, wavelength = rig.detector.emission_nm, HC_EV_NM / target_ev
    # The ends belong to it: there and back between nm and eV is off by some last digits.
    if window.low * (1.0 - 1e-9) <= wavelength <= window.high * (1.0 + 1e-9):
        return
    seen = "emission" if rig.detector.sees_emission else "absorption"
    message = f"a target at {wavelength:.4g} nm lies outside the detector's {seen} window"
    # Rounded inwards, so that what is said to be allowed is.
    low_ev, high_ev = math.ceil(1e4 * HC_EV_NM / window.high) / 1e4, math.floor(1e4 * HC_EV_NM / window.low) / 1e4
    allowed = f"{low_ev:g} eV to {high_ev:g} eV, or {window.low:g} nm to {window.high:g} nm"
    yield document.problem((*path, "target"), message, allowed=allowed)


def _ways(document: Document, campaign: CampaignConfig) -> Iterator[Problem]:
    """At most one of the ways to weigh width and yield, and each sound by itself."""
    wanted = campaign.objective
    given = {"desirability": wanted.desirability, "in_order": wanted.in_order}
    ways = [name for name, said in given.items() if said is not None]
    for name in ways[1:]:
        message = f"the objective has {ways[0]} already: leave one of them out"
        yield document.problem(("objective", name), message, at_key=True)
    for name, key in (("fwhm", "fwhm"), ("quantum_yield", "yield")):
        if ways and name in wanted.model_fields_set:
            message = f"these weights stand beside {ways[0]}, which says itself what {key} is worth: leave them out"
            yield document.problem(("objective", key), message, at_key=True)
    if wanted.desirability is not None:
        yield from _desirability(document, wanted.desirability, wanted.aim)
    if wanted.in_order is not None:
        yield from _order(document, wanted.in_order, several=bool(wanted.then))


def _desirability(document: Document, said: DesirabilityConfig, peak: PeakTarget) -> Iterator[Problem]:
    path = ("objective", "desirability")
    if said.peak.none_beyond_ev < peak.tolerance_ev:
        allowed = f"at least the tolerance of {1e3 * peak.tolerance_ev:g} meV"
        message = "a peak inside the tolerance would not be desirable"
        yield document.problem((*path, "peak", "none_beyond"), message, allowed=allowed)
    if said.fwhm is not None and said.fwhm.full_at_ev >= said.fwhm.none_at_ev:
        message = "a narrow line is wanted: full_at must be below none_at"
        yield document.problem((*path, "fwhm", "full_at"), message)
    if said.quantum_yield is not None and said.quantum_yield.full_at <= said.quantum_yield.none_at:
        message = "a bright line is wanted: full_at must be above none_at"
        yield document.problem((*path, "yield", "full_at"), message)


def _order(document: Document, steps: tuple[FwhmStep | YieldStep, ...], *, several: bool) -> Iterator[Problem]:
    kinds = [step.kind for step in steps]
    for index, step in enumerate(steps):
        path, bound = ("objective", "in_order", index), "at_most" if isinstance(step, FwhmStep) else "at_least"
        if step.kind in kinds[:index]:
            yield document.problem((*path, "kind"), "this stands in the order already")
        if bound_of(step) is None and index < len(steps) - 1:
            message = f"only the last can go without {bound}: what comes after this one would never count"
            yield document.problem(path, message, at_key=True)
        elif bound_of(step) is None and several:
            message = f"with further targets every step needs {bound}, to say when one is reached"
            yield document.problem(path, message, at_key=True)
        if bound_of(step) is not None:
            for key in sorted({"patience", "improvement", "improvement_ev"} & step.model_fields_set):
                message = f"this is for a step without {bound}"
                yield document.problem((*path, key.removesuffix("_ev")), message, at_key=True)


def _brightness(document: Document, campaign: CampaignConfig, rig: RigConfig) -> Iterator[Problem]:
    """A yield that is asked of a detector that sees none."""
    wanted = campaign.objective
    if rig.detector.sees_emission:
        return
    message = f"the detector {rig.plumbing.detector!r} looks through the cell at absorption, and sees no yield"
    if wanted.desirability is not None:
        if wanted.desirability.quantum_yield is not None:
            yield document.problem(("objective", "desirability", "yield"), message, at_key=True)
    elif wanted.in_order is not None:
        for index, step in enumerate(wanted.in_order):
            if step.kind == "yield":
                yield document.problem(("objective", "in_order", index, "kind"), message, at_key=True, allowed="fwhm")
    elif wanted.quantum_yield.weight > 0.0:
        yield document.problem(("objective", "yield", "weight"), message, at_key=True, allowed="0")


def _plateau(document: Document, campaign: CampaignConfig) -> Iterator[Problem]:
    rule, wanted = campaign.stop.plateau, campaign.objective
    if rule is None:
        return
    if wanted.in_order is not None:
        message = "an order has no one number that could stand still: give its last step its own patience"
        yield document.problem(("stop", "plateau"), message, at_key=True)
        return
    needed, other = (
        ("desirability", "improvement") if wanted.desirability is not None else ("improvement", "desirability")
    )
    given = {"improvement": rule.improvement_ev, "desirability": rule.desirability}
    if given[needed] is None and given[other] is None:
        what = "of the overall desirability" if needed == "desirability" else "of the distance from the target"
        yield document.problem(("stop", "plateau"), f"what counts as no improvement {what}? Add {needed}", at_key=True)
    if given[other] is not None:
        message = f"with this objective a plateau is told by {needed}"
        yield document.problem(("stop", "plateau", other), message, at_key=True)
