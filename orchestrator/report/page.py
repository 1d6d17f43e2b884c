"""From the gathered material to the page: words, rows, and the template."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from orchestrator.campaign.standing import bests
from orchestrator.campaign.targets import OUTCOME_WORDS, all_tried
from orchestrator.history.run_state import Experiment, RunState
from orchestrator.history.summary import summary
from orchestrator.report import figures, tradeoffs, wanted, why
from orchestrator.report.colour import emission_colour
from orchestrator.report.gather import Material
from orchestrator.report.said import fitted_to
from orchestrator.report.svg import number
from orchestrator.units import HC_EV_NM

VERDICTS: Mapping[str | None, tuple[str, str]] = {
    "target_reproduced": ("good", "Target reached and reproduced"),
    "budget_experiments": ("ended", "All experiments of the budget are done"),
    "budget_time": ("ended", "The reactor time of the budget is used"),
    "budget_reagent": ("ended", "The reagent of the budget is used"),
    "reagent": ("ended", "Ended for lack of reagent"),
    "plateau": ("ended", "Ended on a plateau"),
    "out_of_reach": ("ended", "The target is out of reach"),
    "operator": ("ended", "Stopped by the operator"),
    "fault": ("bad", "Ended by a fault"),
    "suspended": ("open", "Suspended until it is resumed"),
    None: ("open", "Not finished"),
}


def render(material: Material, explained: Mapping[str, Any] | None = None) -> str:
    """The whole page as HTML text. `explained`: see `orchestrator.report.explaining`; None leaves its section out."""
    state = material.state
    best = bests(state)
    result = summary(state, best)
    tone, verdict = VERDICTS.get(state.stop_reason, ("ended", str(state.stop_reason)))
    if all_tried(state):
        verdict = "Every target reached and reproduced" if tone == "good" else "Not every target was reached"
    peak = result["peak_ev"]
    judged = wanted.judged(material)
    return _template().render(
        css=Markup(_asset("style.css")),
        script=Markup(_asset("page.js")),
        state=state,
        result=result,
        title=state.header.get("campaign_name") or material.path.stem,
        tone=tone,
        verdict=verdict,
        swatch=None if peak is None else emission_colour(peak),
        wavelength_nm=None if peak is None else HC_EV_NM / peak,
        fwhm_nm=_width_nm(peak, result["fwhm_mev"]),
        advice=state.recommendation,
        measured=_measured(state),
        recipe=_recipe(state, result["recipe"]),
        best=best(state.target),
        judged=judged,
        absorption=state.of_absorption,
        tradeoffs=_choices(state),
        targets=[_target(row, state) for row in result.get("targets", ())],
        progress=figures.progress(state),
        waterfall=figures.waterfall(material),
        inputs=figures.inputs(state),
        traces=figures.temperature_and_pressure(material),
        reagent=figures.reagent(state),
        references=[_reference(checked) for checked in state.references],
        calibration=figures.calibration(state),
        explained=explained,
        fitted_to="" if explained is None or "cannot" in explained else fitted_to(explained),
        outputs=[] if explained is None or "cannot" in explained else why.outputs(state, explained),
        columns=[(figures.words(str(entry["name"])), str(entry.get("unit", ""))) for entry in state.inputs],
        rows=[_row(e, state, judged) for e in state.experiments],
        facts=_facts(material),
        host=[(key, _plain(value)) for _, key, value in material.host],
        texts=[
            (state.header.get(f"{kind}_file") or kind, state.header[f"{kind}_text"])
            for kind in ("campaign", "rig")
            if state.header.get(f"{kind}_text")
        ],
        head=material.head,
        duration=duration,
        number=_shown,
    )


def _shown(value: float | str, digits: int = 4) -> str:
    """A number for people, or a name as it is."""
    return value if isinstance(value, str) else number(value, digits)


def duration(seconds: float) -> str:
    """A time span in words: the two largest of days, hours, minutes, seconds."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h"


def _recipe(state: RunState, recipe: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each input's value, unit, range, and where in the range it lies (0 to 1, on the input's own scale)."""
    from math import log

    rows = []
    for entry in state.inputs:
        name = str(entry["name"])
        if name not in recipe:
            continue
        value, low, high = recipe[name]["value"], float(entry["low"]), float(entry["high"])
        levels = entry.get("levels", ())
        if levels:
            rows.append({"name": figures.words(name), "unit": "", "value": value, "low": levels[0], "high": levels[-1]})
            rows[-1]["share"] = list(levels).index(value) / (len(levels) - 1)
            continue
        if not high > low:
            share = 0.5
        elif entry.get("scale") == "log" and low > 0 and value > 0:
            share = log(value / low) / log(high / low)
        else:
            share = (value - low) / (high - low)
        rows.append(
            {"name": figures.words(name), "unit": entry.get("unit", ""), "value": value, "low": low, "high": high}
            | {"share": min(max(share, 0.0), 1.0)}
        )
    return rows


def _target(found: Mapping[str, Any], state: RunState) -> dict[str, Any]:
    """One of several targets, and what was found for it."""
    outcome = OUTCOME_WORDS.get(found["outcome"], str(found["outcome"]))
    return {**found, "outcome": outcome, "recipe": _recipe(state, found["recipe"])}


def _choices(state: RunState) -> list[tuple[float, Sequence[tradeoffs.Candidate]]]:
    """Of each target that leaves a choice, its peak in eV and what could be chosen."""
    found: list[tuple[float, Sequence[tradeoffs.Candidate]]] = []
    for aim, target in enumerate(state.targets, 1):
        front, advice = tradeoffs.front(state, aim), state.recommended(aim)
        recipes = [dict(e.recipe) for e in state.experiments for each in front if e.n == each.n]
        if len(front) > 1 or (front and advice is not None and dict(advice.recipe) not in recipes):
            found.append((target["target_ev"], front))
    return found


def _measured(state: RunState) -> Mapping[str, Any]:
    if state.recommendation is not None:
        return state.recommendation.measured or {}
    if state.best is not None:
        return {"peak_sd_ev": state.best.peak_sd_ev, "n_replicates": 1}
    return {}


def _width_nm(peak_ev: float | None, fwhm_mev: float | None) -> float | None:
    if peak_ev is None or fwhm_mev is None:
        return None
    half = fwhm_mev / 2e3
    return HC_EV_NM / (peak_ev - half) - HC_EV_NM / (peak_ev + half) if peak_ev > half else None


def _row(e: Experiment, state: RunState, judged: wanted.Judged | None) -> dict[str, Any]:
    target, tolerance = state.target_of(e), state.aim(e.target, "tolerance_ev")
    if e.refused is not None:
        outcome, tone, detail = "refused", "no", e.refused
    elif e.accepted:
        miss = None if target is None else e.error_ev(target)
        # As the campaign judges it: with its standard error, since on the edge a repeat is out as often as in.
        hit = miss is not None and tolerance is not None and abs(miss) + (e.peak_sd_ev or 0.0) <= tolerance
        if judged is not None:
            hit = judged.reached[e.n]
        outcome, tone, detail = ("on target", "yes", "") if hit else ("measured", "", "")
    elif e.told:
        outcome, tone, detail = "no value", "no", e.quality or ", ".join(e.flags)
    else:
        outcome, tone, detail = ("in doubt" if e.dosing else "not finished"), "open", ""
    if e.disturbed:
        attempts = f"{e.attempts} attempts" if e.attempts > 1 else "to be run again"
        disturbed = f"disturbed ({', '.join(e.disturbed)}), {attempts}"
        detail = f"{disturbed}; {detail}" if detail else disturbed
    off = None if target is None else (e.miss_ev(target) if state.of_light else e.error_ev(target))
    return {
        "target_ev": target,
        "e": e,
        "outcome": outcome,
        "tone": tone,
        "detail": detail,
        "error_mev": None if off is None else 1e3 * off,
        "colour": emission_colour(e.peak_ev) if e.accepted and e.peak_ev else None,
        "recipe": [
            None if name not in e.recipe else state.named(name, e.recipe[name])
            for name in (str(entry["name"]) for entry in state.inputs)
        ],
        "chosen": any(dict(e.recipe) == dict(advice.recipe) for advice in state.recommendations),
    }


def _reference(checked: Mapping[str, Any]) -> dict[str, Any]:
    """One look at the lamp's own line through solvent."""
    outcome = str(checked["outcome"])
    words = {"steady": "steady", "shifted": "shifted: the blank was read again", "lost": "lost: the run was ended"}
    return {
        "t_s": checked["t_s"],
        "shift_percent": 100.0 * float(checked["shift"]),
        "outcome": words.get(outcome, outcome),
        "tone": "" if outcome == "steady" else "no",
        "covers": _span(checked["covers"]),
    }


def _span(numbers: Sequence[int]) -> str:
    """Numbers of experiments, in runs: "1 to 4, 6"."""
    runs: list[list[int]] = []
    for n in sorted(numbers):
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return ", ".join(str(low) if low == high else f"{low} to {high}" for low, high in runs)


def _facts(material: Material) -> list[tuple[str, str]]:
    """What was run, on what, from which files."""
    state, header = material.state, material.state.header
    first = material.events[0].utc if material.events else ""
    archives = header.get("archives", ())
    facts = [
        ("Mode", {"twin": "digital twin, virtual time", "hardware": "hardware"}.get(header.get("mode", ""), "")),
        ("Strategy", header.get("strategy", "")),
        ("Wanted", header.get("wanted", "")),
        ("Held against cost", {"per_ul": "µL of reagents", "per_minute": "minutes"}.get(header.get("cost", ""), "")),
        ("Archives", ", ".join(f"{each['name']} ({len(each['rows'])} experiments)" for each in archives)),
        ("Seed", header.get("seed", "")),
        ("Lumiflow", header.get("lumiflow_version", "")),
        ("Constraints", "; ".join(header.get("constraints", ()))),
        ("Campaign file", header.get("campaign_file", "")),
        ("Rig file", header.get("rig_file", "")),
        ("Configuration SHA-256", header.get("config_sha256", "")),
        ("First event", first if header.get("mode") != "twin" else f"{first} (virtual)"),
        ("Sittings", state.sittings if state.sittings > 1 else ""),
        ("Events", len(material.events)),
        *((f"Device {name}", identity) for name, identity in state.devices.items()),
    ]
    return [(key, str(value)) for key, value in facts if value != ""]


def _plain(value: Any) -> str:
    """A host fact as words: texts as they are, flat mappings as "name value, name value", the rest as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and not any(isinstance(item, dict | list) for item in value.values()):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return json.dumps(value, ensure_ascii=False)


def _asset(name: str) -> str:
    return files("orchestrator.report").joinpath(name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("page.html.j2"))
