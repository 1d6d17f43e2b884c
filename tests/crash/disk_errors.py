"""Run a campaign whose journal's disk fails at its n-th operation, for every n.

    python -m tests.crash.disk_errors --stride 1

Twice at each operation: the disk is full from then on, or it has an I/O error once. Whatever the moment: no order but
those of the safe sequence reaches a device after the error, the twins end with heater off and pumps still, the error is
one clear JournalError, and what had been acknowledged is in the file.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.deciders import LiveDecider
from orchestrator.campaign.header import Overrides, header_of
from orchestrator.clock.virtual_time import UtcClock, blocking_clock, run_virtual
from orchestrator.config import LoadedCampaign
from orchestrator.errors import JournalError
from orchestrator.journal.journal import Event, Journal
from orchestrator.rig.build import build_rig
from orchestrator.rig.tracing import Action, RecordingTracer
from tests.crash.disk import FULL, IO_ERRORS, Disk, Op, disk
from tests.crash.power_loss import scratch
from tests.orchestrator.rehearsal import small

ACTUATIONS = {"infuse", "set_temperature"}
"""Orders that move or heat something; the safe sequence, in a hurry, gives none of them."""


class Orders:
    """A tracer that also keeps what devices are told, and when the disk had failed by then."""

    def __init__(self, below: RecordingTracer) -> None:
        self._below = below
        self.failed = False
        self.after_failure: list[str] = []

    async def call(self, device: str, verb: str, args: Mapping[str, Any], action: Action) -> Any:
        if self.failed:
            self.after_failure.append(verb)
        return await self._below.call(device, verb, args, action)

    def store(self, data: bytes) -> str:
        return self._below.store(data)

    def load(self, address: str) -> bytes:
        return self._below.load(address)


@dataclass
class Outcome:
    """What a run on a failing disk came to. ``words``: of its error, "" without one; ``wrong``: what must not be."""

    operations: int = 0
    words: str = ""
    acknowledged: int = 0
    wrong: list[str] = field(default_factory=list)


def conduct(loaded: LoadedCampaign, folder: Path, seen: Disk, fail_at: int | None, *, full: bool) -> Outcome:
    """One campaign; its disk fails at an operation counted from after the journal was made."""
    outcome = Outcome()
    path = folder / "run.sqlite"
    acknowledged: list[Event] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        clock = UtcClock(loop)
        with Journal.create(path, clock) as journal:
            orders = Orders(RecordingTracer(journal, clock))

            def fails(number: int, op: Op) -> int:
                if fail_at is None or number < fail_at or (number > fail_at and not full):
                    return 0
                code = IO_ERRORS[op.kind] if not full else FULL if op.kind == "write" else 0
                # What fails while the log is moved into the file costs no record, and SQLite goes on.
                orders.failed = orders.failed or (code != 0 and op.name.endswith("-wal"))
                return code

            seen.log.clear()
            seen.fails = fails
            rig = build_rig(loaded, orders, hardware=False, clock=blocking_clock(loop), start_s=loop.time())
            campaign = Campaign(
                loaded,
                rig,
                journal,
                LiveDecider(loaded),
                header=header_of(loaded, Overrides(), hardware=False),
                on_event=acknowledged.append,
            )
            world = rig.faults.world
            try:
                await campaign.run()
            except JournalError as error:
                outcome.words = str(error)
            finally:
                outcome.operations = len(seen.log)
            forbidden = [verb for verb in orders.after_failure if verb in ACTUATIONS]
            if outcome.words and forbidden:
                outcome.wrong.append(f"after the error the devices were told {forbidden}")
            await asyncio.sleep(5.0)  # the twin of the heater says what its output is once a tick
            flowing = [name for name in rig.pumps if world.syringe(name).commanded_ul_min > 0.0]
            if flowing:
                outcome.wrong.append(f"{flowing} still run")
            if world.block.output_fraction(loop.time()) > 0.0:
                outcome.wrong.append("the heater is still on")
            if orders.failed and not outcome.words:
                outcome.wrong.append("the error was not told")
            seen.fails = lambda number, op: 0

    run_virtual(main())
    outcome.acknowledged = len(acknowledged)
    with Journal.open(path, readonly=True) as journal:
        kept = [event.hash for event in journal.events()]
    if kept[: len(acknowledged)] != [event.hash for event in acknowledged]:
        outcome.wrong.append(f"{len(acknowledged)} records were acknowledged; {len(kept)} are there")
    return outcome


def sweep(stride: int, first: int = 0) -> tuple[int, Counter[str], list[str]]:
    """Runs, how they ended, and what was wrong in any of them."""
    loaded = small(1)
    answers: Counter[str] = Counter()
    wrong: list[str] = []
    runs = 0
    with disk() as seen, tempfile.TemporaryDirectory(dir=scratch()) as name:
        (Path(name) / "sound").mkdir()
        sound = conduct(loaded, Path(name) / "sound", seen, None, full=True)
        wrong += sound.wrong
        for full in (True, False):
            for fail_at in range(first, sound.operations, stride):
                folder = Path(name) / f"{full}-{fail_at}"
                folder.mkdir()
                outcome = conduct(loaded, folder, seen, fail_at, full=full)
                runs += 1
                answers["ended safely with a JournalError" if outcome.words else "unharmed"] += 1
                what = "disk full" if full else "I/O error"
                wrong += [f"{what} at operation {fail_at}: {words}" for words in outcome.wrong]
    return runs, answers, wrong


def main() -> None:
    """Run the sweep and say what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stride", type=int, default=1)
    runs, answers, wrong = sweep(parser.parse_args().stride)
    for words in wrong[:10]:
        print(words)
    print(f"{runs} failing disks: {len(wrong)} broken promises; {', '.join(f'{n} {a}' for a, n in answers.items())}")
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
