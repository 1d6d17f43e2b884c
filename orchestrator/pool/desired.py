"""What a pool file desires of several outputs at once, in their own units."""

from __future__ import annotations

from orchestrator.config.pool import DesiredOutput, PoolSpec
from orchestrator.errors import Problem
from orchestrator.pool.amounts import amount_at
from orchestrator.pool.conditions import Desired
from orchestrator.yaml_source import Document

_WAYS = (("target", "none_beyond"), ("full_at", "none_at"))


def desired_outputs(document: Document, config: PoolSpec) -> tuple[tuple[Desired, ...], list[Problem]]:
    """What each output is worth, and everything that is wrong with that; none of both where the goal is another."""
    goal = config.objective.desirability
    if goal is None:
        return (), []
    problems: list[Problem] = []
    found = [
        _desired(document, name, entry, config.outputs[name].unit, problems)
        for name, entry in goal.outputs.items()
        if name in config.outputs
    ]
    return tuple(each for each in found if each is not None), problems


def _desired(document: Document, name: str, entry: DesiredOutput, unit: str, problems: list[Problem]) -> Desired | None:
    path = ("objective", "desirability", "outputs", name)
    given = tuple(key for way in _WAYS for key in way if getattr(entry, key) is not None)
    if given not in _WAYS:
        allowed = ", or ".join(" with ".join(way) for way in _WAYS)
        problems.append(document.problem(path, "says no single way to be desired", at_key=True, allowed=allowed))
        return None
    before = len(problems)
    first, second = (amount_at(document, (*path, key), getattr(entry, key), unit, problems) for key in given)
    if len(problems) > before:
        return None
    if given == _WAYS[0]:
        if second <= 0.0:
            problems.append(document.problem((*path, "none_beyond"), "out of range", allowed="above zero"))
        return Desired(name, 0.0, second, first, entry.weight, entry.exponent)
    if first == second:
        problems.append(document.problem((*path, "none_at"), "the same as full_at: it would be worth all and nothing"))
    return Desired(name, first, second, None, entry.weight, entry.exponent)
