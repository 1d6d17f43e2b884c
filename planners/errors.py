"""The one error root of the planners."""

import difflib
from collections.abc import Iterable


class PlannerError(ValueError):
    """A planner was asked for something that it cannot do. The message carries what was asked and what is allowed."""


def did_you_mean(asked: str, known: Iterable[str]) -> str:
    """A short hint naming the closest of the `known` names, and all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(asked, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(names)}"
