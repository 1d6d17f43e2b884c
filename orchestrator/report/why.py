"""The figures of what the inputs do: Sobol' indices as bars, partial dependence as small panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from orchestrator.history.run_state import RunState
from orchestrator.report.colour import emission_colour
from orchestrator.report.figures import words
from orchestrator.report.said import finding_sentences, output_words
from orchestrator.report.svg import Plot, number, padded

Data = Mapping[str, Any]

VERDICTS: Mapping[str, tuple[str, str]] = {
    "shown": ("yes", "matters"),
    "small": ("", "hardly matters"),
    "unknown": ("open", "cannot tell"),
}
"""A finding -> the class of its colour, and itself in words."""

_ROW = 30.0
_MOST_TICKS = 4


def outputs(state: RunState, explained: Data) -> list[dict[str, Any]]:
    """For each output: its title, the bars, a panel for each input with the verdict on it, and the sentences."""
    sentences = finding_sentences(explained)
    result: list[dict[str, Any]] = []
    for name in explained["outputs"]:
        title, _, unit = output_words(name)
        effects = [effect for effect in explained["effects"] if effect["output"] == name]
        by_input = {effect["input"]: effect for effect in effects}
        span = _span(effects, name, state)
        panels = []
        for entry in explained["inputs"]:
            effect = by_input[entry["name"]]
            heading = words(entry["name"]) + (f" / {entry['unit']}" if entry["unit"] else "")
            tone, verdict = VERDICTS[effect["finding"]]
            panels.append((heading, tone, verdict, panel(entry, effect, state, span)))
        heading = f"{title[:1].upper()}{title[1:]}" + (f" / {unit}" if unit else "")
        result.append(
            {"title": heading, "bars": bars(title, effects), "panels": panels, "sentences": sentences.pop(title)}
        )
    result += [
        {"title": f"{title[:1].upper()}{title[1:]}", "bars": None, "panels": [], "sentences": said}
        for title, said in sentences.items()
    ]
    return result


def bars(title: str, effects: Sequence[Data]) -> Markup:
    """A row for each input: the total index as a pale bar, the first-order one inside it, 90 % intervals of both."""
    plot = Plot(1000.0, _ROW * len(effects) + 46, left=150.0, top=4.0, bottom=42.0)
    plot.scales((0.0, 100.0), (float(len(effects)), 0.0))
    ticks = [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
    plot.x_axis(f"share of the variance of the {title} / %", ticks, grid=True)
    for row, effect in enumerate(effects):
        at, css = plot.y(row + 0.5), "" if effect["finding"] == "shown" else " vague"
        first, total = ({key: 100 * value for key, value in effect[which].items()} for which in ("first", "total"))
        tip = (
            f"{words(effect['input'])}: alone {first['middle']:.0f} % ({first['low']:.0f} to {first['high']:.0f}), "
            f"in company too {total['middle']:.0f} % ({total['low']:.0f} to {total['high']:.0f})"
        )
        plot.add('<g class="share{css}" data-tip="{tip}">', css=css, tip=tip)
        for which, values, shift, height in (("total", total, -8.0, 16.0), ("alone", first, -8.0, 16.0)):
            plot.add(
                '<rect class="{which}" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="2"/>',
                which=which,
                x=plot.x(0.0),
                y=at + shift,
                w=plot.x(values["middle"]) - plot.x(0.0),
                h=height,
            )
        for values, shift in ((first, -3.0), (total, 3.0)):
            plot.add(
                '<line class="whisker" x1="{a:.1f}" x2="{b:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>',
                a=plot.x(values["low"]),
                b=plot.x(values["high"]),
                y=at + shift,
            )
        plot.text((0.0, row + 0.5), words(effect["input"]), "label", "end", (-10, 4))
        plot.add("</g>")
    return plot.render(f"Sensitivity of the {title}")


def panel(entry: Data, effect: Data, state: RunState, span: tuple[float, float]) -> Markup:
    """One output along one input, averaged over the recipes that gave a reading; what was read as specks."""
    title, factor, _ = output_words(effect["output"])
    places = [float(n) for n in range(len(entry["grid"]))] if entry["levels"] else list(entry["grid"])
    log = entry["log"] and places[0] > 0
    edges = (places[0], places[-1]) if entry["continuous"] else padded(places, 0.12, 0.2)
    plot = Plot(250.0, 158.0, left=40.0, right=8.0, top=8.0, bottom=26.0)
    plot.scales(edges, span, x_log=log and edges[0] > 0, y_log=False)
    plot.y_axis("", plot.y.ticks(4), lambda tick: number(tick, 3))
    if entry["levels"]:
        shown = dict(zip(places, entry["levels"], strict=True))
        plot.x_axis("", places, lambda tick: shown[tick][:12])
    else:
        plot.x_axis("", _few(plot), lambda tick: number(tick, 3))
    if entry["continuous"]:
        for left, right in ((edges[0], entry["tried"][0]), (entry["tried"][1], edges[1])):
            if right > left:
                plot.band((left, right), span, "stripe")
    wanted = state.target_ev if effect["output"] == "peak_ev" else None
    if wanted is not None and span[0] < wanted < span[1]:
        plot.rule("target", y=wanted)
    rows = [
        (at, *(min(max(factor * band[key], span[0]), span[1]) for key in ("low", "middle", "high")))
        for at, band in zip(places, effect["curve"], strict=True)
    ]
    css = "" if effect["finding"] == "shown" else " vague"
    if entry["continuous"]:
        there = [(at, high) for at, _, _, high in rows]
        back = "".join(f" L{plot.x(at):.1f},{plot.y(low):.1f}" for at, low, _, _ in reversed(rows))
        plot.path(there, f"likely{css}", close=f"{back} Z")
        plot.path([(at, middle) for at, _, middle, _ in rows], f"dependence{css}")
    for e in state.experiments:
        value = e.reading(effect["output"])
        if value is not None and entry["name"] in e.recipe and e.peak_ev is not None:
            at = min(max(float(e.recipe[entry["name"]]), edges[0]), edges[1])
            _speck(plot, at, min(max(factor * value, span[0]), span[1]), emission_colour(e.peak_ev))
    if not entry["continuous"]:
        for at, low, middle, high in rows:
            _step(plot, at, (low, middle, high), css)
    return plot.render(f"{title} along {words(entry['name'])}")


def _few(plot: Plot) -> list[float]:
    """At most a handful of ticks, also on a logarithmic axis."""
    ticks = plot.x.ticks(3)
    step = -(-len(ticks) // _MOST_TICKS)
    return ticks[::step]


def _span(effects: Sequence[Data], output: str, state: RunState) -> tuple[float, float]:
    """What the panels of one output show: its readings and every curve; bands are cut off there."""
    factor = output_words(output)[1]
    values = [factor * band["middle"] for effect in effects for band in effect["curve"]]
    values += [factor * value for e in state.experiments if (value := e.reading(output)) is not None]
    return padded(values, 0.08, 1e-6)


def _speck(plot: Plot, x: float, y: float, colour: str) -> None:
    plot.add(
        '<circle class="speck" cx="{x:.1f}" cy="{y:.1f}" r="2.6" style="--c:{c}"/>', x=plot.x(x), y=plot.y(y), c=colour
    )


def _step(plot: Plot, at: float, band: tuple[float, float, float], css: str) -> None:
    """The interval of one level, and its middle."""
    x, (low, middle, high) = plot.x(at), (plot.y(value) for value in band)
    plot.add(
        '<rect class="likely{css}" x="{x:.1f}" y="{y:.1f}" width="14" height="{h:.1f}" rx="3"/>',
        css=css,
        x=x - 7,
        y=high,
        h=max(low - high, 1.0),
    )
    plot.add(
        '<line class="dependence{css}" x1="{a:.1f}" x2="{b:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>',
        css=css,
        a=x - 7,
        b=x + 7,
        y=middle,
    )
