"""One check and its verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and what to do about it ("" when there is nothing to do)."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The check for ``--json``."""
        return asdict(self)

    def text(self) -> str:
        """The check for a person."""
        line = f"{self.verdict:<8} {self.name}: {self.found}"
        return f"{line}\n         -> {self.advice}" if self.advice else line
