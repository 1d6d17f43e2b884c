"""What the benchmarks of planners take on their command lines, and refuse before hours are spent on it."""

from __future__ import annotations

import argparse

from planners import strategy_names


def whole(text: str) -> int:
    """A whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above zero")
    return int(text)


def known_arm(text: str) -> str:
    """The name of a strategy."""
    if text not in strategy_names():
        raise argparse.ArgumentTypeError(f"there is no strategy {text!r}; there are {', '.join(strategy_names())}")
    return text
