"""An explanation of a run in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.report.svg import number

Data = Mapping[str, Any]

_OUTPUTS: Mapping[str, tuple[str, float, str]] = {
    "peak_ev": ("peak", 1.0, "eV"),
    "fwhm_ev": ("line width", 1e3, "meV"),
    "quantum_yield": ("relative yield", 100.0, "%"),
    "light_median_ev": ("median of the light", 1.0, "eV"),
    "light_5_percent_ev": ("energy of the reddest 5 % of the light, from its median", 1e3, "meV"),
    "light_23_percent_ev": ("energy of the reddest 23 % of the light, from its median", 1e3, "meV"),
    "light_77_percent_ev": ("energy of the bluest 23 % of the light, from its median", 1e3, "meV"),
    "light_95_percent_ev": ("energy of the bluest 5 % of the light, from its median", 1e3, "meV"),
}
_HARDLY_VARIED = 0.1


def output_words(name: str) -> tuple[str, float, str]:
    """An output's name in words, the factor to the unit it is shown in, and that unit."""
    return _OUTPUTS.get(name, (name.replace("_", " "), 1.0, ""))


def fitted_to(explained: Data) -> str:
    """What the explanation rests on, in words."""
    recipes, archived = explained["recipes"], explained.get("archived", 0)
    words = f"{recipes} {'recipe' if recipes == 1 else 'recipes'} that gave a reading"
    return f"{words} and to {archived} experiments of archives" if archived else words


def finding_sentences(explained: Data) -> dict[str, list[str]]:
    """What is found of each output, by its name in words: first what is shown, then what cannot be told."""
    inputs = {each["name"]: each for each in explained["inputs"]}
    said: dict[str, list[str]] = {}
    order = {"shown": 0, "unknown": 1, "small": 2}
    for output in explained["outputs"]:
        effects = [effect for effect in explained["effects"] if effect["output"] == output]
        effects.sort(key=lambda effect: (order[effect["finding"]], -effect["total"]["middle"]))
        said[output_words(output)[0]] = [_sentence(effect, inputs[effect["input"]]) for effect in effects]
    for output in explained["unread"]:
        said[output_words(output)[0]] = ["Read too seldom to say what it depends on."]
    return said


def _sentence(effect: Data, entry: Data) -> str:
    name, what = entry["name"].replace("_", " "), output_words(effect["output"])[0]
    if effect["finding"] == "shown":
        said = f"{_capital(name)} matters for the {what}: {_change(effect, entry)}. {_shares(effect)}"
        if entry["share"] >= _HARDLY_VARIED:
            return said
        throughout = f"it was {_value(entry['tried'][0], entry)} throughout"
        return f"{said} In this run {f'it was varied only {_tried(entry)}' if entry['share'] > 0.0 else throughout}."
    if effect["finding"] == "small":
        most = 100 * effect["total"]["high"]
        return (
            f"No effect of {name} on the {what} is shown, and at most {number(most, 1)} % of the variance of the "
            f"{what} over the search space can come of it."
        )
    return f"The data cannot tell whether {name} matters for the {what}: {_ignorance(effect, entry)}."


def _change(effect: Data, entry: Data) -> str:
    """How the output changes along the input, over the recipes that were run."""
    by = effect["change"]["by"]
    between = f"from {_value(effect['change']['start'], entry)} to {_value(effect['change']['end'], entry)}"
    if by["low"] <= 0.0 <= by["high"]:
        return f"what it does depends on the other inputs; {between} the average change is {_interval(effect)}"
    return f"{between} it {'rises' if by['middle'] > 0 else 'falls'} by {_interval(effect, size=True)} on average"


def _interval(effect: Data, *, size: bool = False) -> str:
    """The change with its 90 % interval; its size without the sign if so asked."""
    _, factor, unit = output_words(effect["output"])
    low, middle, high = (factor * effect["change"]["by"][key] for key in ("low", "middle", "high"))
    if size and middle < 0:
        low, middle, high = -high, -middle, -low
    unit = "percentage points" if unit == "%" else unit
    return f"{_number(middle)} {unit}".rstrip() + f" (90 %: {_number(low)} to {_number(high)})"


def _shares(effect: Data) -> str:
    first, total = effect["first"], effect["total"]
    return (
        f"{_percent(first['middle'])} of the variance over the search space comes of it alone "
        f"({_percent(first['low'])} to {_percent(first['high'])}), {_percent(total['middle'])} of it in company too "
        f"({_percent(total['low'])} to {_percent(total['high'])})."
    )


def _ignorance(effect: Data, entry: Data) -> str:
    if entry["share"] == 0.0:
        return f"it was {_value(entry['tried'][0], entry)} in every recipe that gave a reading"
    by, change = effect["change"]["by"], effect["change"]
    words = f"from {_value(change['start'], entry)} to {_value(change['end'], entry)} it changes by {_interval(effect)}"
    if by["low"] <= 0.0 <= by["high"]:
        words += " on average, which may be nothing"
    else:
        words += " on average, which is no more than chance makes of so many recipes and values"
    return f"{words}; it was varied only {_tried(entry)}" if entry["share"] < _HARDLY_VARIED else words


def _tried(entry: Data) -> str:
    low, high = (_value(value, entry) for value in entry["tried"])
    return f"between {low} and {high}"


def _value(value: float, entry: Data) -> str:
    if entry["levels"]:
        return str(entry["levels"][round(value)])
    return f"{_number(value)} {entry['unit']}".rstrip()


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _number(value: float) -> str:
    return number(value, 3)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
