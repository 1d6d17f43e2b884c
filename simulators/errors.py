"""The errors of the simulators room: one root, each carrying what was asked and what would have been allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SimulatorError(Exception):
    """Root of every error that a twin raises about itself (a device's own refusals travel on the wire instead)."""


class SpecError(SimulatorError, ValueError):
    """A specification that describes no possible world.

    Attributes: `where` (class and field), `asked` (the refused value), `allowed` (in words).
    """

    def __init__(self, where: str, asked: object, allowed: str) -> None:
        self.where = where
        self.asked = asked
        self.allowed = allowed
        super().__init__(f"{where}: got {asked!r}; allowed: {allowed}")


class UnknownNameError(SimulatorError, KeyError):
    """A name that this world does not know. Attributes: `kind`, `asked`, `known`, `suggestion` (or None)."""

    def __init__(self, kind: str, asked: str, known: Iterable[str]) -> None:
        self.kind = kind
        self.asked = asked
        self.known = tuple(known)
        close = difflib.get_close_matches(asked, self.known, n=1)
        self.suggestion = close[0] if close else None
        hint = f"; did you mean {self.suggestion!r}?" if self.suggestion else ""
        self.message = f"no {kind} named {asked!r} (known: {', '.join(self.known) or 'none'}){hint}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class TimeReversalError(SimulatorError):
    """A command or a read dated before the world's start, or a command before the same device's last one.

    Attributes: `device`, `asked_s`, `earliest_s`.
    """

    def __init__(self, device: str, asked_s: float, earliest_s: float) -> None:
        self.device = device
        self.asked_s = asked_s
        self.earliest_s = earliest_s
        super().__init__(f"{device}: asked about {asked_s} s, but its time has reached {earliest_s} s")
