"""Kill the daemon at seeded moments and after every event of a campaign, start it again, and hold the end against the
uninterrupted one.

    python -m tests.crash.daemon_kill_sweep --kills 200 --boundaries --experiments 50

Each life of the daemon is a process of its own. A first life submits the campaign; each later one finds it interrupted
and is told to resume it, or finds it queued. Seeded kills strike on the wall's clock, anywhere from the first import to
the last word; boundary kills strike right after the n-th event of the campaign was acknowledged, for every n, and after
every kind of event of the rig's own journal. In the end the campaign's journal must be the uninterrupted one byte for
byte, every acknowledged command must be in the rig's journal, the campaign must have ended there once, and the
syringes must be as empty as without kills.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.daemon import ears, rig_journal
from orchestrator.daemon.commands import COMMAND, Actor
from orchestrator.daemon.config import load_daemon
from orchestrator.daemon.ledger import Ledger, fold_rig
from orchestrator.daemon.planner_process import PlannerProcesses
from orchestrator.daemon.service import Daemon
from orchestrator.fold import fold
from orchestrator.journal import Event, Journal
from orchestrator.virtual_time import run_real
from tests.crash.kill_sweep import campaign_file, contents, finish, first_difference

RIG = "bench"
PATIENCE_S = 900.0


@dataclass(frozen=True)
class Moment:
    """When a life of the daemon is to end: after a time on the wall, or right after an event was acknowledged.

    ``seq``: of the campaign; ``kind``: of the rig's own journal, the ``nth`` of that kind in this life.
    """

    wall_s: float | None = None
    seq: int | None = None
    kind: str | None = None
    nth: int = 1


@dataclass
class Tally:
    """What was found. ``moments``: where the campaign stood at each kill."""

    kills: int = 0
    campaigns: int = 0
    commands: int = 0
    moments: dict[str, int] = field(default_factory=dict)


class Folder:
    """One daemon's folder with one campaign in it."""

    def __init__(self, root: Path, name: str, experiments: int, strategy: str) -> None:
        self.path = root / name
        self.path.mkdir()
        campaign_file(self.path, experiments)
        self.campaign = (self.path / "campaign.yaml").read_text()
        self.strategy = strategy
        (self.path / "daemon.yaml").write_text(f"kind: daemon\nrigs:\n  {RIG}: {{file: rig.yaml}}\n")
        self.acknowledged = 0

    @property
    def journal(self) -> Path:
        return self.path / "runs" / "quickstart-0001.sqlite"

    @property
    def rig_journal(self) -> Path:
        return self.path / "runs" / "rigs" / f"{RIG}.sqlite"

    def ledger(self) -> Ledger:
        if not self.rig_journal.exists():
            return Ledger()
        with Journal.open(self.rig_journal, readonly=True) as journal:
            return fold_rig(journal.events())

    def record(self) -> str:
        return contents(self.journal) if self.journal.exists() and self.journal.stat().st_size else ""

    @property
    def done(self) -> bool:
        return bool(self.ledger().ended)


@contextmanager
def _deadly(moment: Moment | None) -> Iterator[None]:
    """In a child: die by the kernel's hand right after the event that the moment names was acknowledged."""
    heard, appended = ears.Ears.event, rig_journal.RigJournal._append
    seen = 0

    def event(self: ears.Ears, job: str, event: Event) -> None:
        heard(self, job, event)
        if moment is not None and event.seq == moment.seq:
            os.kill(os.getpid(), signal.SIGKILL)

    async def append(self: rig_journal.RigJournal, kind: str, data: Mapping[str, Any]) -> Event:
        nonlocal seen
        written = await appended(self, kind, data)
        seen += moment is not None and kind == moment.kind
        if moment is not None and moment.kind is not None and seen >= moment.nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return written

    ears.Ears.event, rig_journal.RigJournal._append = event, append  # type: ignore[method-assign]
    try:
        yield
    finally:
        ears.Ears.event, rig_journal.RigJournal._append = heard, appended  # type: ignore[method-assign]


async def _live(folder: Folder, acknowledge: int) -> None:
    """One life: submit what was not submitted, resume what was interrupted, wait for the end."""
    planners = PlannerProcesses()
    decider = None if folder.strategy in ("sobol", "random") else planners.decider
    daemon = Daemon(load_daemon(folder.path / "daemon.yaml"), decider=decider)
    ada = Actor("ada", "cli")
    await daemon.start()
    rig = daemon.stations[RIG]
    if not rig.ledger.jobs:
        overrides = {"seed": 3, "strategy": folder.strategy}
        words = {"verb": "submit", "rig": RIG, "campaign": folder.campaign, "overrides": overrides}
        outcome = await daemon.command(ada, COMMAND.validate_python(words))
        assert outcome.accepted, outcome.detail
        os.write(acknowledge, b"+")
    elif rig.standing()[0] == "paused":
        outcome = await daemon.command(ada, COMMAND.validate_python({"verb": "resume", "rig": RIG}))
        assert outcome.accepted, outcome.detail
        os.write(acknowledge, b"+")
    async with asyncio.timeout(PATIENCE_S):
        while not rig.ledger.ended:  # noqa: ASYNC110 - what is waited for is in the journal
            await asyncio.sleep(0.02)
    assert rig.standing() == ("idle", ""), rig.standing()
    await daemon.close()
    planners.close()


def life(folder: Folder, moment: Moment | None) -> None:
    """One life of the daemon in a process of its own, killed at the moment if there is one."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            with _deadly(moment):
                run_real(_live(folder, writing))
        except BaseException as error:  # noqa: BLE001 - the child must not run on into its parent's code
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(9)
        os._exit(0)
    os.close(writing)
    if moment is not None and moment.wall_s is not None:
        time.sleep(moment.wall_s)
        os.kill(child, signal.SIGKILL)
    if moment is None:
        finish(child)
    else:
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
            raise SystemExit(f"a life of the daemon ended by itself with {os.WEXITSTATUS(status)} before {moment}")
    with os.fdopen(reading, "rb") as pipe:
        folder.acknowledged += len(pipe.read())


def check(folder: Folder, expected: str) -> str:
    """Nothing acknowledged is lost, nothing is otherwise than it was. Returns the kind of the last event."""
    record = folder.record()
    if not expected.startswith(record):
        raise SystemExit(
            f"{folder.path.name}: the record is not how the uninterrupted one begins:\n"
            f"{first_difference(expected, record)}"
        )
    ledger = folder.ledger()
    if folder.acknowledged and not ledger.jobs:
        raise SystemExit(f"{folder.path.name}: the submission was acknowledged and is lost")
    if not record:
        return "nothing" if not ledger.jobs else "submitted"
    with Journal.open(folder.journal, readonly=True) as journal:
        return list(journal.events())[-1].kind


def conclude(folder: Folder, expected: str, missing_ul: Mapping[str, float]) -> None:
    """Let the campaign come to its end, and hold it against the uninterrupted one."""
    if not folder.done:
        life(folder, None)
    found, ledger = folder.record(), folder.ledger()
    if found != expected:
        raise SystemExit(f"{folder.path.name}: ended otherwise:\n{first_difference(expected, found)}")
    with Journal.open(folder.journal, readonly=True) as journal:
        told = [experiment.n for experiment in fold(journal.events()).told]
    with Journal.open(folder.rig_journal, readonly=True) as journal:
        events = tuple(journal.events())
    if told != list(range(1, len(told) + 1)):
        raise SystemExit(f"{folder.path.name}: told out of order or more than once: {told}")
    ends = [event for event in events if event.kind == "ended"]
    commands = [event for event in events if event.kind == "command"]
    if len(ends) != 1 or ledger.present is not None or ledger.queue or dict(ledger.missing_ul) != dict(missing_ul):
        raise SystemExit(f"{folder.path.name}: the rig's journal says {ledger}")
    if len(commands) < folder.acknowledged:
        raise SystemExit(f"{folder.path.name}: {folder.acknowledged} commands acknowledged, {len(commands)} journalled")


def sweep(kills: int, chain: int, *, boundaries: int, strategy: str, seed: int, experiments: int) -> Tally:
    """Kill and start again; raises SystemExit with words at the first campaign that ends otherwise.

    ``chain``: seeded kills in the life of one campaign. ``boundaries``: the stride through the events, 0 for none.
    """
    generator = random.Random(seed)
    tally = Tally()
    with tempfile.TemporaryDirectory() as root:
        whole = Folder(Path(root), "whole", experiments, strategy)
        began = time.monotonic()
        life(whole, None)
        wall_s = time.monotonic() - began
        expected, missing_ul = whole.record(), dict(whole.ledger().missing_ul)
        events = expected.count("\n")
        print(f"uninterrupted: {events} events in {wall_s:.1f} s", file=sys.stderr, flush=True)

        def strike(folder: Folder, moment: Moment) -> None:
            life(folder, moment)
            last = check(folder, expected)
            tally.kills += 1
            tally.moments[last] = tally.moments.get(last, 0) + 1
            print(f"kill {tally.kills}: {moment}, last {last}", file=sys.stderr, flush=True)

        def campaign(moments: list[Moment]) -> None:
            folder = Folder(Path(root), f"killed-{tally.campaigns}", experiments, strategy)
            tally.campaigns += 1
            for moment in moments:
                if folder.done:
                    break
                strike(folder, moment)
            conclude(folder, expected, missing_ul)
            tally.commands += folder.acknowledged

        while tally.kills < kills:
            share = min(chain, kills - tally.kills)
            campaign([Moment(wall_s=generator.uniform(0.0, wall_s)) for _ in range(share)])
        if boundaries:
            kinds = [Moment(kind=kind) for kind in ("booted", "command", "begun")]
            steps = [Moment(seq=seq) for seq in range(1, events + 1, boundaries)]
            campaign([*kinds, *steps, Moment(kind="ended")])
    return tally


def main() -> None:
    """Run the sweep and say what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--chain", type=int, default=10, help="seeded kills of one campaign")
    parser.add_argument("--boundaries", type=int, nargs="?", const=1, default=0, help="every so many events, too")
    parser.add_argument("--strategy", default="sobol")
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--experiments", type=int, default=50)
    options = parser.parse_args()
    tally = sweep(
        options.kills,
        options.chain,
        boundaries=options.boundaries,
        strategy=options.strategy,
        seed=options.seed,
        experiments=options.experiments,
    )
    print(
        f"{tally.kills} kills of the daemon over {tally.campaigns} campaigns: 0 acknowledged events lost, 0 of "
        f"{tally.commands} acknowledged commands lost, 0 experiments repeated, {tally.campaigns} ends equal to the "
        f"uninterrupted run; at the kill: {', '.join(f'{kind} {n}' for kind, n in sorted(tally.moments.items()))}"
    )


if __name__ == "__main__":
    main()
