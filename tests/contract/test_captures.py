"""The manuals' forms are what the drivers say and understand."""

from __future__ import annotations

from typing import Any

import pytest
from pymodbus.framer import FramerRTU

from orchestrator.clock.virtual_time import run_virtual
from tests.contract.captures import ANSWERED, SAID, Answered, Said
from tests.contract.heaters import Tap
from tests.contract.table import ENTRIES
from tests.contract.test_every_driver import WANTED, put, reading_of

BY_NAME = {entry.name: entry for entry in ENTRIES}


@pytest.mark.parametrize("said", SAID, ids=lambda said: said.entry)
def test_a_driver_says_what_the_manual_says(said: Said) -> None:
    async def main() -> list[bytes]:
        entry = BY_NAME[said.entry]
        bench = entry.bench()
        tap = Tap(bench.twin)
        device: Any = entry.driver(entry.connection(tap), "mine")
        await device.connect()
        if entry.role in WANTED:
            await put(entry.role, device)
        else:
            await reading_of(entry.role, device)
        return tap.said

    heard = run_virtual(main())
    entry = BY_NAME[said.entry]
    if entry.wire == "line":
        assert said.request in heard
    elif entry.wire == "rtu":
        # Some captures leave the checksum to the specification.
        checksum = FramerRTU.compute_CRC(said.request).to_bytes(2, "big")
        assert any(frame in (said.request, said.request + checksum) for frame in heard), said.source
    else:
        assert any(frame.endswith(said.request) for frame in heard)


def test_every_driver_has_its_capture() -> None:
    assert {said.entry for said in SAID} == set(BY_NAME)
    assert all(said.source for said in SAID)


@pytest.mark.parametrize("answered", ANSWERED, ids=lambda answered: answered.source)
def test_an_answer_means_what_the_manual_says(answered: Answered) -> None:
    assert answered.parse(answered.answer) == answered.meaning
