"""What the readings come to by an objective that has more to say than where the peak is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from orchestrator.campaign import goal
from orchestrator.campaign.standing import best_group
from orchestrator.history.run_state import Experiment, RunState
from orchestrator.report.colour import emission_colour
from orchestrator.report.figures import WIDTH, counted, described
from orchestrator.report.gather import Material
from orchestrator.report.svg import Plot, linear_ticks, number

if TYPE_CHECKING:
    from orchestrator.config import CampaignConfig


@dataclass(frozen=True)
class Part:
    """One part of the objective: what is wanted, what was measured, and what that comes to."""

    name: str
    wanted: str
    measured: str
    verdict: str
    good: bool


@dataclass(frozen=True)
class Judged:
    """An objective's view of a run. ``reached``: by experiment, whether it was all that is wanted of its own target.
    ``of_light``: it wants the light of a spectrum."""

    sentence: str
    parts: tuple[Part, ...]
    of: str
    reached: Mapping[int, bool]
    of_light: bool
    figure: tuple[str, Markup] | None


def judged(material: Material) -> Judged | None:
    """The view of the present target's objective; None where the peak, or nothing that is understood, is wanted."""
    from orchestrator.campaign.standing import recorded_config
    from orchestrator.campaign.targets import aimed, present

    state = material.state
    campaign = recorded_config(state) if state.header.get("wanted") else None
    if campaign is None:
        return None
    config = present(campaign, state)
    chosen, of = _chosen(config, state)
    own = {e.n: aimed(campaign, e.target - 1) for e in state.experiments}
    return Judged(
        sentence=f"{'The peak,' if config.objective.shape is None else 'A spectrum'} {goal.sentence(config)}",
        parts=_parts(config, chosen) if chosen else (),
        of=of,
        reached={e.n: goal.reached(own[e.n], e) for e in state.experiments},
        of_light=config.objective.shape is not None,
        figure=_figure(config, material, chosen, own),
    )


def _chosen(config: CampaignConfig, state: RunState) -> tuple[Sequence[Experiment], str]:
    """The experiments of the recommended recipe; else the best one."""
    seen = [e for e in state.experiments if e.accepted]
    advice = state.recommendation
    same = [] if advice is None else [e for e in seen if dict(e.recipe) == dict(advice.recipe)]
    if same:
        return same, "the recommended recipe" + (f", mean of {len(same)} experiments" if len(same) > 1 else "")
    if not seen:
        return (), ""
    group = best_group(config, state.experiments)
    best = seen[0] if group is None else group.read
    return [best], f"experiment {best.n}"


def _parts(config: CampaignConfig, chosen: Sequence[Experiment]) -> tuple[Part, ...]:
    import numpy as np

    from planners import Desirability, InOrder, Shape

    wanted, readings = goal.objective(config), goal.readings(config, chosen)
    if isinstance(wanted, Shape):
        return _shape_parts(config, chosen)
    peak, fwhm, bright = (None if np.isnan(value) else float(value) for value in readings)
    if peak is None:
        return ()
    off = Part(
        "peak",
        f"{number(wanted.target_peak_ev)} eV ± {number(1e3 * wanted.tolerance_ev)} meV",
        f"{peak:.4f} eV",
        f"{1e3 * (peak - wanted.target_peak_ev):+.1f} meV".replace("-", "−"),
        all(goal.on_peak(config, each) for each in chosen),
    )
    if isinstance(wanted, Desirability):
        found = wanted.parts(peak, fwhm, bright)
        ranges = {"fwhm_ev": wanted.fwhm, "quantum_yield": wanted.quantum_yield}
        rows = [Part(off.name, off.wanted, off.measured, f"{found['peak_ev']:.2f}", off.good)]
        for output, value in (("fwhm_ev", fwhm), ("quantum_yield", bright)):
            each = ranges[output]
            if each is not None:
                span = f"{amount(output, each.none_at)} (0) to {amount(output, each.full_at)} (1)"
                said = f"{found[output]:.2f}"
                rows.append(Part(_NAMES[output], span, amount(output, value), said, found[output] > 0.0))
        enough = f"at least {wanted.enough:.2f}"
        rows.append(Part("overall", enough, "", f"{found['overall']:.2f}", found["overall"] >= wanted.enough))
        return tuple(rows)
    if isinstance(wanted, InOrder):
        rows = [off]
        for step in wanted.steps:
            value = fwhm if step.output == "fwhm_ev" else bright
            narrow = step.output == "fwhm_ev"
            if step.bound is None:
                rows.append(
                    Part(
                        _NAMES[step.output],
                        "as small as possible" if narrow else "as high as possible",
                        amount(step.output, value),
                        "",
                        value is not None,
                    )
                )
                continue
            met = value is not None and bool(step.met(np.array(value)))
            bound = f"at {'most' if narrow else 'least'} {amount(step.output, step.bound)}"
            rows.append(Part(_NAMES[step.output], bound, amount(step.output, value), "met" if met else "not met", met))
        return tuple(rows)
    return (off,)


def _shape_parts(config: CampaignConfig, chosen: Sequence[Experiment]) -> tuple[Part, ...]:
    """The displacement of the light, beside what people know better: shared light, and the peak."""
    shapes = [e.shape for e in chosen if e.shape is not None]
    peaks = [e.peak_ev for e in chosen if e.peak_ev is not None]
    if not shapes or not peaks:
        return ()
    aim = config.objective.aim
    off_mev, most_mev = 1e3 * _mean([each["distance_ev"] for each in shapes]), 1e3 * aim.tolerance_ev
    shared, peak = _mean([each["overlap"] for each in shapes]), _mean(peaks)
    met = all(goal.reached(config, each) for each in chosen)
    return (
        Part(
            "mean displacement",
            f"at most {number(most_mev)} meV",
            f"{off_mev:.1f} meV",
            "met" if met else "not met",
            met,
        ),
        Part("light shared with the target", "", f"{100.0 * shared:.1f} %", "", True),
        Part(
            "peak",
            f"{aim.target_ev:.4f} eV",
            f"{peak:.4f} eV",
            f"{1e3 * (peak - aim.target_ev):+.1f} meV".replace("-", "−"),
            True,
        ),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


_NAMES = {"fwhm_ev": "width (FWHM)", "quantum_yield": "relative yield"}


def amount(output: str, value: float | None) -> str:
    """A width or a yield for people."""
    if value is None:
        return "unread"
    return f"{1e3 * value:.0f} meV" if output == "fwhm_ev" else f"{100.0 * value:.0f} %"


def _figure(
    config: CampaignConfig, material: Material, chosen: Sequence[Experiment], own: Mapping[int, CampaignConfig]
) -> tuple[str, Markup] | None:
    if config.objective.shape is not None:
        return _spectra(config, material, chosen)
    return _desirabilities(config, material.state, own)


def _desirabilities(
    config: CampaignConfig, state: RunState, own: Mapping[int, CampaignConfig]
) -> tuple[str, Markup] | None:
    """The overall desirability over experiment number, each by its own target, and what is enough."""
    said = config.objective.desirability
    seen = [e for e in state.experiments if e.accepted and e.peak_ev is not None]
    if said is None or not seen:
        return None
    last = max(e.n for e in state.experiments)
    plot = Plot(WIDTH, 260, top=20).scales((0.4, last + 0.6), (-0.03, 1.03))
    plot.band((0.4, last + 0.6), (said.enough, 1.03), "goal")
    plot.y_axis("overall desirability", linear_ticks(0.0, 1.0, 6))
    plot.x_axis("experiment", counted(last), lambda tick: f"{tick:.0f}")
    for e in seen:
        value = 1.0 - goal.best_loss(own[e.n], [e])
        tip = f"{described(e, state.target_of(e))}, desirability {value:.2f}"
        plot.dot((e.n, value), "circle" if e.of is None else "diamond", tip, emission_colour(e.peak_ev or 0.0))
    each = "experiment by experiment" if len(state.targets) < 2 else "each experiment by its own target"
    caption = f"Overall desirability, {each}; the band is enough"
    return caption, plot.render("Overall desirability over experiment number")


def _spectra(config: CampaignConfig, material: Material, chosen: Sequence[Experiment]) -> tuple[str, Markup] | None:
    """The target spectrum and one measured, each as a share of its own light by nm."""
    import numpy as np

    shape, names = config.objective.shape, {e.n for e in chosen}
    seen = next((spectrum for spectrum in material.spectra if spectrum.n in names), None)
    if shape is None or seen is None:
        return None
    target = shape.spectrum
    window = (seen.wavelengths_nm[0], seen.wavelengths_nm[-1])
    curves = []
    for nm, values in ((target.wavelengths_nm, target.intensities), (seen.wavelengths_nm, seen.values)):
        scaled = np.asarray(values) / max(float(np.sum(np.clip(values, 0.0, None) * np.gradient(nm))), 1e-300)
        curves.append([(x, 100.0 * float(y)) for x, y in zip(nm, scaled, strict=True) if window[0] <= x <= window[1]])
    top = max(y for curve in curves for _, y in curve)
    plot = Plot(WIDTH, 300, top=20).scales(window, (-0.03 * top, 1.08 * top))
    plot.y_axis("share of the light / % per nm")
    plot.x_axis("wavelength / nm", linear_ticks(*window, 8), grid=True)
    for curve, css in zip(curves, ("best", "dependence"), strict=True):
        if len(curve) > 1:
            plot.path(curve, css)
    caption = f"Grey: the target; coloured: experiment {seen.n}"
    return caption, plot.render("The target spectrum and a measured one")
