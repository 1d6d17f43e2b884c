"""What devices say is passed on under the name of the quantity, with its unit."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestrator.daemon.telemetry import Reading, Tap
from orchestrator.rig.tracing import Unrecorded


@pytest.mark.parametrize(
    ("verb", "result", "values"),
    [
        ("read", [24.5, 90, 0.4, []], {"temperature_c": 24.5, "set_point_c": 90, "output_fraction": 0.4, "faults": []}),
        ("read", 101.3, {"pressure_kpa": 101.3}),
        ("read", "liquid", {"phase": "liquid"}),
        ("infuse", 120.0, {"flow_ul_min": 120.0}),
        ("stop", None, {"flow_ul_min": 0.0}),
        ("identify", "a device", {}),
    ],
)  # fmt: skip
def test_a_reading_is_named_by_what_was_measured(verb: str, result: Any, values: dict[str, Any]) -> None:
    heard: list[Reading] = []

    async def act() -> Any:
        return result

    tap = Tap(Unrecorded(), lambda: (1.0, "2026-01-01T00:00:00Z"), lambda _, reading, __: heard.append(reading), 1.0)
    assert asyncio.run(tap.call("it", verb, {}, act)) == result
    assert [dict(reading.values) for reading in heard] == ([values] if values else [])
