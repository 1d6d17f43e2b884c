"""Which recipes nothing else beats in everything at once: near a target, narrow, bright."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from orchestrator.campaign.stopping import Group, groups
from orchestrator.history.run_state import RunState


@dataclass(frozen=True)
class Candidate:
    """One recipe by the means of its accepted experiments. ``losses``: the lower the better, one for each criterion.

    ``error_ev``: the peak minus the target; of a target spectrum, how far the light is displaced.
    ``dissatisfaction``: each criterion's |g - g_wanted| / |g_worst - g_wanted|, 0 as wanted and 1 as the worst that was
    seen (Krishnadasan, Brown, deMello & deMello, Lab Chip 7, 1434, 2007). Wanted are the target's peak, no width and a
    yield of one.
    """

    n: int
    count: int
    error_ev: float
    fwhm_ev: float | None
    quantum_yield: float | None
    losses: Mapping[str, float]
    dissatisfaction: Mapping[str, float] = field(default_factory=dict)


def front(state: RunState, aimed: int) -> tuple[Candidate, ...]:
    """The Pareto front of what was measured, for whichever target, nearest to the one of that number (from 1) first.

    Peaks inside the tolerance count as equally near. A width or yield that more than half of the recipes have is
    judged, and a recipe that lacks it is left out; what fewer have is left out for all.
    """
    target, tolerance = state.aim(aimed, "target_ev"), state.aim(aimed, "tolerance_ev") or 0.0
    if target is None:
        return ()
    accepted = [[e for e in group.experiments if e.accepted and e.peak_ev] for group in groups(state.experiments)]
    found = [
        _candidate(Group(tuple(members)), target, tolerance, of_light=state.of_light) for members in accepted if members
    ]
    widths = 2 * sum(candidate.fwhm_ev is not None for candidate in found) > len(found)
    yields = 2 * sum(candidate.quantum_yield is not None for candidate in found) > len(found)
    whole = [
        candidate
        for candidate in found
        if (candidate.fwhm_ev is not None or not widths) and (candidate.quantum_yield is not None or not yields)
    ]
    judged = [_with_losses(candidate, widths=widths, yields=yields) for candidate in whole]
    worst = {name: max(each.losses[name] for each in judged) for name in (judged[0].losses if judged else ())}
    best = [each for each in judged if not any(_beats(other, each) for other in judged)]
    ordered = sorted(best, key=lambda each: (*each.losses.values(), each.n))
    return tuple(
        replace(each, dissatisfaction={name: loss / (worst[name] or 1.0) for name, loss in each.losses.items()})
        for each in ordered
    )


def _candidate(group: Group, target_ev: float, tolerance_ev: float, *, of_light: bool) -> Candidate:
    def mean(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    members = group.experiments
    errors = [e.miss_ev(target_ev) if of_light else e.error_ev(target_ev) for e in members]
    error = mean(errors) or 0.0
    away = max(abs(error) - tolerance_ev, 0.0)
    fwhm, bright = mean([e.fwhm_ev for e in members]), mean([e.quantum_yield for e in members])
    return Candidate(group.first.n, len(members), error, fwhm, bright, {"peak": away})


def _with_losses(candidate: Candidate, *, widths: bool, yields: bool) -> Candidate:
    losses = dict(candidate.losses)
    if widths and candidate.fwhm_ev is not None:
        losses["fwhm"] = candidate.fwhm_ev
    if yields and candidate.quantum_yield is not None:
        losses["yield"] = max(1.0 - candidate.quantum_yield, 0.0)
    return replace(candidate, losses=losses)


def _beats(one: Candidate, other: Candidate) -> bool:
    """Whether one is nowhere worse than the other and somewhere better."""
    pairs = [(loss, other.losses[name]) for name, loss in one.losses.items()]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
