"""The report's figures, each a function of the gathered material; None where there is nothing to show."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from markupsafe import Markup

from orchestrator.history.run_state import Experiment, RunState
from orchestrator.report.colour import emission_colour
from orchestrator.report.gather import Material, Series
from orchestrator.report.svg import Plot, linear_ticks, number, padded
from orchestrator.units import HC_EV_NM

WIDTH = 1000.0
_ROOM_FOR_WORDS = 150.0
LEAST_MEV = 0.05  # errors smaller than this are drawn here: the axis is logarithmic


def progress(state: RunState) -> Markup | None:
    """|peak - target|, or the displacement of the light, over experiment number on a logarithmic axis; with the best
    so far and what gave no value. Where there are several targets, each experiment stands against its own."""
    if state.target_ev is None or not state.experiments:
        return None
    aims = {e.n: state.target_of(e) or state.target_ev for e in state.experiments}
    errors = {e.n: 1e3 * miss for e in state.experiments if (miss := e.miss_ev(aims[e.n])) is not None}
    spans = _spans(state)
    tolerances_mev = [1e3 * (state.aim(span.target, "tolerance_ev") or 0.0) for span in spans]
    shown = [max(value, LEAST_MEV) for value in (*errors.values(), *(each or 1.0 for each in tolerances_mev))]
    low, high = min(shown) / 1.8, max(*shown, 20.0) * 1.8
    last = max(e.n for e in state.experiments)
    plot = Plot(WIDTH, 360, top=34).scales((0.4, last + 0.6), (low, high), y_log=True)
    for span, tolerance_mev in zip(spans, tolerances_mev, strict=True):
        within = f"within {number(tolerance_mev)} meV"
        if tolerance_mev > low:
            plot.band((span.begin, span.end), (low, tolerance_mev), "goal")
        if len(state.targets) > 1:
            of = f"{number(state.aim(span.target, 'target_ev') or 0.0)} eV"
            of += f", {within}" if plot.x(span.end) - plot.x(span.begin) > _ROOM_FOR_WORDS else ""
            plot.text(((span.begin + span.end) / 2, high), of, "note", "middle", (0, -12))
        elif tolerance_mev > low:
            plot.text((span.end, tolerance_mev), within, "note goal-note", "end", (-6, 15))
    plot.y_axis("distance from target / meV")
    plot.x_axis("experiment", counted(last), lambda tick: f"{tick:.0f}")
    for span in spans:
        plot.path(_best_so_far(state, span), "best")
    for e in state.experiments:
        if e.n in errors and e.peak_ev is not None:
            value = max(errors[e.n], LEAST_MEV)
            sd = 1e3 * (e.miss_sd_ev or 0.0)
            whisker = (max(errors[e.n] - sd, low), min(value + sd, high)) if sd > 0 else None
            shape = "circle" if e.of is None else "diamond"
            plot.dot((e.n, value), shape, described(e, aims[e.n]), emission_colour(e.peak_ev), whisker=whisker)
        elif e.told or e.refused is not None:
            plot.dot((e.n, high), "cross", described(e, aims[e.n]))
    return plot.render("Distance from the target over experiment number")


@dataclass(frozen=True)
class _Span:
    """The experiments that were for one of the targets (from 1), and where they begin and end on an axis of numbers."""

    target: int
    first: int
    last: int
    begin: float
    end: float


def _spans(state: RunState) -> list[_Span]:
    """The spans of the experiments, in their order; together they are as wide as the axis."""
    ordered = sorted(state.experiments, key=lambda e: e.n)
    runs = [(target, [e.n for e in run]) for target, run in groupby(ordered, key=lambda e: e.target)]
    whole = (0.4, max(e.n for e in ordered) + 0.6)
    starts = [whole[0], *(numbers[0] - 0.5 for _, numbers in runs[1:]), whole[1]]
    return [
        _Span(target, numbers[0], numbers[-1], begin, end)
        for (target, numbers), (begin, end) in zip(runs, pairwise(starts), strict=True)
    ]


def _best_so_far(state: RunState, span: _Span) -> Series:
    """The steps of the least distance from a span's target in meV, which begin with what was read before it."""
    aim_ev = state.aim(span.target, "target_ev")
    if aim_ev is None:
        return []
    misses = {e.n: 1e3 * miss for e in state.experiments if (miss := e.miss_ev(aim_ev)) is not None}
    best = min((miss for n, miss in misses.items() if n < span.first), default=float("inf"))
    steps: Series = [(span.begin, max(best, LEAST_MEV))] if best < float("inf") else []
    for n in range(span.first, span.last + 1):
        if misses.get(n, best) < best:
            if steps:
                steps.append((n, steps[-1][1]))
            best = misses[n]
            steps.append((n, max(best, LEAST_MEV)))
    return [*steps, (span.end, steps[-1][1])] if steps else []


def waterfall(material: Material) -> Markup | None:
    """Every spectrum above the one before, each scaled to its own line; those without a line keep the common scale."""
    state, spectra = material.state, material.spectra
    if not spectra:
        return None
    by_n = {e.n: e for e in state.experiments}
    heights = {s.n: max(s.values) for s in spectra if by_n[s.n].accepted}
    common = sorted(heights.values())[len(heights) // 2] if heights else max(max(s.values) for s in spectra)
    row, rise = 24.0, 62.0
    height = rise + row * len(spectra) + 46
    window = (spectra[0].wavelengths_nm[0], spectra[0].wavelengths_nm[-1])
    plot = Plot(WIDTH, height, left=44, right=118, top=rise, bottom=46).scales(window, (0.0, float(len(spectra))))
    plot.x_axis("wavelength / nm", linear_ticks(*window, 8), grid=True)
    for index, spectrum in enumerate(spectra):
        e = by_n[spectrum.n]
        base = len(spectra) - 1.0 - index
        scale = (heights.get(spectrum.n) or common) or 1.0
        pixels = rise * 0.92 / row
        line = [
            (wavelength, base + pixels * max(min(counts / scale, 1.05), -0.05))
            for wavelength, counts in zip(spectrum.wavelengths_nm, spectrum.values, strict=True)
        ]
        colour = emission_colour(e.peak_ev) if e.accepted and e.peak_ev else None
        css = "ridge" if colour else "ridge dim"
        plot.add('<g class="row" data-tip="{tip}">', tip=described(e, state.target_of(e)))
        closing = f" L{plot.x(window[1]):.1f},{plot.y(base):.1f} L{plot.x(window[0]):.1f},{plot.y(base):.1f} Z"
        plot.path(line, f"{css} fill", colour, closing)
        plot.path(line, css, colour)
        plot.text((window[0], base), str(e.n), "tick", "end", (-8, 4))
        told = f"{e.peak_ev:.3f} eV" if colour and e.peak_ev else (e.flags[0] if e.flags else "no line")
        plot.text((window[1], base), told, "tick" if colour else "tick faint", "start", (10, 4))
        if e.of is not None:
            plot.text((window[1], base), f"↻ {e.of}", "tick faint", "start", (84, 4))
        plot.add("</g>")
    for target in state.targets:
        at = HC_EV_NM / target["target_ev"]
        if window[0] < at < window[1]:
            plot.rule("target", x=at, over=38.0)
            said = f"target {number(target['target_ev'])} eV"
            plot.text((at, len(spectra)), said, "note target-note", "middle", (0, -46))
    return plot.render(f"{str(state.header.get('spectra', 'emission')).capitalize()} spectra of all experiments")


def inputs(state: RunState) -> list[tuple[str, Markup]]:
    """One small panel for each input: its value in every experiment, and the recommended one as a line."""
    panels = []
    last = max((e.n for e in state.experiments), default=0)
    if last == 0:
        return []
    for entry in state.inputs:
        name, unit = str(entry["name"]), str(entry.get("unit", ""))
        low, high = float(entry["low"]), float(entry["high"])
        log = entry.get("scale") == "log" and low > 0
        if not high > low:
            continue
        plot = Plot(480, 176, left=52, bottom=34, top=10).scales((0.4, last + 0.6), (low, high), y_log=log)
        plot.y_axis("", None)
        plot.x_axis("", counted(last, 8), lambda tick: f"{tick:.0f}")
        if state.recommendation is not None and name in state.recommendation.recipe:
            plot.rule("chosen", y=state.recommendation.recipe[name])
        for e in state.experiments:
            if name not in e.recipe:
                continue
            colour = emission_colour(e.peak_ev) if e.accepted and e.peak_ev else None
            shape = ("circle" if e.of is None else "diamond") if colour else "cross"
            value = state.named(name, e.recipe[name])
            tip = f"{e.n}: {words(name)} {value if isinstance(value, str) else number(value)} {unit}".rstrip()
            plot.dot((e.n, min(max(e.recipe[name], low), high)), shape, tip, colour)
        panels.append((f"{words(name)}{f' / {unit}' if unit else ''}", plot.render(f"{name} over experiment number")))
    return panels


def temperature_and_pressure(material: Material) -> list[tuple[str, Markup]]:
    """What the heater and the pressure transmitter said over the run's time, with the experiments behind."""
    panels = []
    set_points_of = material.set_point_c
    groups = [(f"{words(name)} / °C", it, set_points_of.get(name)) for name, it in material.temperature_c.items()]
    groups += [(f"{words(name)} / kPa", series, None) for name, series in material.pressure_kpa.items()]
    end_s = max(material.state.last_s, *(series[-1][0] for _, series, _ in groups)) if groups else 0.0
    if end_s <= 0.0:
        return []
    unit, seconds = ("h", 3600.0) if end_s > 7200 else ("min", 60.0)
    for label, series, set_points in groups:
        span = padded((value for _, value in [*series, *(set_points or ())]), 0.08, 1.0)
        plot = Plot(WIDTH, 200, bottom=42).scales((0.0, end_s / seconds), span)
        for e in material.state.experiments:
            if e.dosed_s is not None and e.n % 2 == 1:
                plot.band((e.dosed_s / seconds, (e.told_s or end_s) / seconds), span, "stripe")
        plot.y_axis("")
        plot.x_axis(f"time / {unit}")
        if set_points:
            steps = [p for a, b in pairwise(set_points) for p in (a, (b[0], a[1]))]
            plot.path([(t / seconds, value) for t, value in [*steps, set_points[-1]]], "setpoint")
        plot.path([(t / seconds, value) for t, value in series], "trace")
        panels.append((label, plot.render(f"{label} over time")))
    return panels


def reagent(state: RunState) -> list[dict[str, Any]]:
    """Per pump: stock, µL spent, µL in the syringe, and the share of it."""
    stocks = state.header.get("stocks", {})
    rows = []
    for pump, spent in state.spent_ul.items():
        entry = stocks.get(pump, {})
        full = float(entry.get("syringe_ul") or 0.0)
        share = spent / full if full > 0 else None
        rows.append(
            {"pump": pump, "stock": entry.get("stock", pump), "spent_ul": spent, "syringe_ul": full, "share": share}
        )
    return rows


QUANTITIES = (
    ("peak_ev", "peak / eV", "peak"),
    ("fwhm_ev", "FWHM / meV", "width"),
    ("quantum_yield", "yield / %", "yield"),
    ("light_median_ev", "median of the light / eV", "median of the light"),
)
_FACTORS = {"peak_ev": 1.0, "light_median_ev": 1.0, "fwhm_ev": 1e3, "quantum_yield": 100.0}


def calibration(state: RunState) -> tuple[list[tuple[str, Markup]], str] | None:
    """Predicted 90 % intervals with what was then measured, and in words how many held it."""
    panels, sayings = [], []
    for name, label, word in QUANTITIES:
        pairs = [
            (e, e.predicted[name], measured)
            for e in state.experiments
            if e.accepted and name in e.predicted and (measured := e.reading(name)) is not None
        ]
        if not pairs:
            continue
        factor = _FACTORS[name]
        every = [factor * v for _, it, measured in pairs for v in (it["low"], it["high"], measured)]
        numbers = [e.n for e, _, _ in pairs]
        plot = Plot(WIDTH if name in ("peak_ev", "light_median_ev") else 480, 240, bottom=42)
        plot.scales((min(numbers) - 0.6, max(numbers) + 0.6), padded(every))
        plot.y_axis("")
        plot.x_axis("experiment", [t for t in counted(max(numbers)) if t >= min(numbers)], lambda tick: f"{tick:.0f}")
        for span in _spans(state) if name == "peak_ev" else ():
            aim_ev = state.aim(span.target, "target_ev")
            begin, end = max(span.begin, plot.x.low), min(span.end, plot.x.high)
            if aim_ev is not None and plot.y.low < aim_ev < plot.y.high and begin < end:
                plot.path([(begin, aim_ev), (end, aim_ev)], "target")
        inside = 0
        for e, it, measured in pairs:
            hit = it["low"] <= measured <= it["high"]
            inside += hit
            x = plot.x(e.n)
            low, mean, high = (plot.y(factor * it[key]) for key in ("low", "mean", "high"))
            plot.add(
                '<rect class="interval" x="{x:.1f}" y="{y:.1f}" width="10" height="{h:.1f}" rx="3"/>',
                x=x - 5,
                y=high,
                h=max(low - high, 1.0),
            )
            plot.add(
                '<line class="interval-mean" x1="{a:.1f}" x2="{b:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>',
                a=x - 5,
                b=x + 5,
                y=mean,
            )
            tip = (
                f"{e.n}: measured {number(factor * measured, 5)}, predicted {number(factor * it['mean'], 5)} "
                f"({number(factor * it['low'], 5)} to {number(factor * it['high'], 5)})"
            )
            colour = emission_colour(e.peak_ev) if e.peak_ev else None
            plot.dot((e.n, factor * measured), "circle", tip, colour)
        panels.append((label, plot.render(f"Predicted and measured {word}")))
        sayings.append(f"{word} {inside} of {len(pairs)}")
    return (panels, ", ".join(sayings)) if panels else None


def described(e: Experiment, target_ev: float | None) -> str:
    """One experiment in a line, for whoever points at it."""
    if e.refused is not None:
        return f"{e.n}: refused, {e.refused}"
    head = f"{e.n}" + (f" (repeat of {e.of})" if e.of is not None else "")
    if not e.accepted or e.peak_ev is None:
        return f"{head}: {e.quality or ', '.join(e.flags) or 'not finished'}"
    parts = [f"{number(e.peak_ev, 5)} eV"]
    if target_ev is not None:
        off = f"{1e3 * (e.peak_ev - target_ev):+.1f}".replace("-", "−")
        parts.append(f"{off} meV from {number(target_ev)} eV")
    if e.fwhm_ev is not None:
        parts.append(f"FWHM {1e3 * e.fwhm_ev:.0f} meV")
    if e.shape is not None:
        parts.append(f"light displaced by {1e3 * e.shape['distance_ev']:.1f} meV")
    if e.quantum_yield is not None:
        parts.append(f"yield {100 * e.quantum_yield:.0f} %")
    return f"{head}: {', '.join(parts)}"


def words(name: str) -> str:
    """An identifier as words."""
    return name.replace("_", " ")


def counted(last: int, most: int = 14) -> list[float]:
    """Whole-numbered ticks from 1 to `last`, at most so many."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**6) if last / s <= most)
    return [float(n) for n in range(step, last + 1, step)]
