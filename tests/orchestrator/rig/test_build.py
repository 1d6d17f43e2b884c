"""A rig from its file, and what its syringes lack."""

import asyncio

from orchestrator.canonical import canonical
from orchestrator.clock.virtual_time import blocking_clock, run_virtual
from orchestrator.journal.journal import Event
from orchestrator.rig.build import build_rig
from orchestrator.rig.tracing import Unrecorded
from tests.orchestrator.rehearsal import small


def test_the_syringes_lack_what_a_killed_sitting_had_under_way_and_what_they_lacked_before() -> None:
    data = {"expected_ul": {"solvent": 900.0}}
    history = (Event("", 1.0, "filling", canonical(data), "", 1, "", ""),)

    async def main() -> None:
        loop, loaded = asyncio.get_running_loop(), small(3, "sobol")
        rig = build_rig(
            loaded,
            Unrecorded(),
            hardware=False,
            clock=blocking_clock(loop),
            start_s=loop.time(),
            history=history,
            missing_ul={"solvent": 100.0},
        )
        assert rig.earlier_ul == {"solvent": 1000.0}

    run_virtual(main())
