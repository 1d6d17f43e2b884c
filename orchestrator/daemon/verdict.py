"""What is decided on a command, before it is written down and done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """What is decided on a command. ``more``: to be written down with it. ``then``: what to do once it is written."""

    accepted: bool
    detail: str
    job: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    then: Callable[[], Awaitable[None]] | None = None
