"""What holds for all tests: a slow machine is no counterexample, and who starts them does not matter."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")


@pytest.fixture(autouse=True, scope="session")
def signals_are_heard() -> Iterator[None]:
    """In the background of a shell, and under nohup, Ctrl-C and a closed terminal are ignored from the start on: here,
    and in all processes that are started from here."""
    usual: dict[str, Any] = {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL, "SIGQUIT": signal.SIG_DFL}
    known = {signal.Signals[name]: handler for name, handler in usual.items() if hasattr(signal, name)}
    before = {kind: signal.signal(kind, handler) for kind, handler in known.items()}
    yield
    for kind, handler in before.items():
        signal.signal(kind, handler)
