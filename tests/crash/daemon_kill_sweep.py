"""Kill the daemon at seeded moments and at every event of a campaign, start it again, and hold the end against the
uninterrupted one.

    python -m tests.crash.daemon_kill_sweep --kills 200 --boundaries --jobs 2

Each life of the daemon is a process of its own, ended by SIGKILL. A first life submits the campaign; each later one
finds it interrupted and is told to resume it, or finds it queued. Seeded kills strike from outside: half of them on
the wall's clock, anywhere from the first import to the last word, half a moment after a seeded event of the campaign.
Some are of campaigns whose planner is the ensemble in its own process, most of these while it owes an answer.
Boundary kills strike from inside: at every event of the campaign right after it was acknowledged; at a share of the
events also with their transaction open and between commit and acknowledgement; at every event of the rig's own
journal all three. In the end the campaign's journal must be the uninterrupted one byte for byte, every acknowledged
command must be in the rig's journal, the campaign must have ended there once, and the syringes must be as empty as
without kills.

The daemon's files lie in memory (/dev/shm) where there is such a folder: what the kernel holds for a file survives
SIGKILL whether it has reached a disk or not. What survives a loss of power is another test (`power_loss`).

Results are kept as they come; what is there, by the same code, is not run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.file_lock import FileLock, lock_path
from tests.benchmarks.bench import ROOT, fingerprint
from tests.benchmarks.kept import Kept
from tests.crash.daemon_life import Folder, Heard, Moment, Otherwise, Side, Whole, check, conclude, life

MEMORY = Path("/dev/shm")
SIDES: tuple[Side, ...] = ("before", "committed", "acknowledged")
STRETCH = 20
"""Boundaries in the life of one campaign."""


@dataclass(frozen=True)
class Plan:
    """What one chain of campaigns is about. ``seeded``: so many kills from outside, drawn from ``seed``; else at the
    ``boundaries``: (event of the campaign, kind of the rig's event, side), one of the first two."""

    experiments: int
    strategy: str
    seed: str = ""
    seeded: int = 0
    boundaries: tuple[tuple[int | None, str | None, Side], ...] = ()


@dataclass
class Found:
    """What a chain has shown. ``moments``: where the campaign stood at its kills; ``sides``: how these struck;
    ``proposing``: kills while the planner owed an answer; ``late``: lives that ended before they were to be killed."""

    kills: int = 0
    campaigns: int = 0
    commands: int = 0
    proposing: int = 0
    late: int = 0
    moments: dict[str, int] = field(default_factory=dict)
    sides: dict[str, int] = field(default_factory=dict)
    trouble: str = ""


def chain(root: str, plan: dict[str, Any]) -> Found:
    """Kill the campaigns of a plan and bring each to its end. Every trouble is words in what is found."""
    asked = Plan(**{**plan, "boundaries": tuple(tuple(each) for each in plan["boundaries"])})
    found = Found()
    try:
        _chain(Path(root), asked, found)
    except Otherwise as error:
        found.trouble = str(error)
        print(f"TROUBLE: {error}", file=sys.stderr, flush=True)
    return found


def _chain(root: Path, plan: Plan, found: Found) -> None:
    whole = Whole.read(root / f"{plan.strategy}-{plan.experiments}.json")
    digest = hashlib.sha256(json.dumps(_job(plan)).encode()).hexdigest()[:8]
    folder: Folder | None = None
    for moment in _moments(plan, whole, found):
        if folder is None or folder.done:
            _close(folder, whole, found)
            path = root / f"{digest}-{found.campaigns}"
            shutil.rmtree(path, ignore_errors=True)  # an interrupted sweep's
            folder = Folder(path, plan.experiments, plan.strategy)
            found.campaigns += 1
        struck, heard = life(folder, moment)
        if not struck:
            found.late += 1
            continue
        _count(found, moment, heard, check(folder, moment, heard, whole))
    _close(folder, whole, found)


def _close(folder: Folder | None, whole: Whole, found: Found) -> None:
    if folder is not None:
        conclude(folder, whole)
        found.commands += folder.commands
        shutil.rmtree(folder.path)


def _count(found: Found, moment: Moment, heard: Heard, last: str) -> None:
    found.kills += 1
    found.proposing += heard.proposing
    found.moments[last] = found.moments.get(last, 0) + 1
    side = moment.side or "from outside"
    found.sides[side] = found.sides.get(side, 0) + 1
    print(f"kill {found.kills}: {moment}, last {last}", file=sys.stderr, flush=True)


def _moments(plan: Plan, whole: Whole, found: Found) -> Iterator[Moment]:
    """The moments of a plan; seeded ones until so many kills were made."""
    for seq, kind, side in plan.boundaries:
        yield Moment(seq=seq, kind=kind, side=side)
    generator = random.Random(plan.seed)
    while found.kills < plan.seeded:
        yield _drawn(generator, whole)


def _drawn(generator: random.Random, whole: Whole) -> Moment:
    """A moment that strikes from outside."""
    if whole.answers_s and generator.random() < 0.75:
        after_s = generator.uniform(0.0, generator.choice(whole.answers_s))
        return Moment(asked=generator.randint(1, whole.events // 12), after_s=after_s)
    if generator.random() < 0.5:
        return Moment(after_s=generator.uniform(0.0, whole.wall_s))
    gap_s = whole.wall_s / whole.events
    return Moment(seq=generator.randint(1, whole.events), after_s=generator.uniform(0.0, 2.0 * gap_s))


def at_every_event(whole: Whole, plan: Plan, stride: int, share: float, seed: int) -> list[Plan]:
    """The plans of the boundary kills: each ``stride``-th event, and both other sides of a seeded ``share`` of them."""
    events = range(1, whole.events + 1, stride)
    drawn = sorted(random.Random(f"{seed} sides").sample(events, round(share * len(events))))
    others: list[tuple[int | None, str | None, Side]] = []
    for seq in drawn:
        others += [(seq, None, "before"), (seq, None, "committed")]
    stretches = [*_stretches([(seq, None, "acknowledged") for seq in events]), *_stretches(others)]
    # A life may end at its boot, at the command, where the campaign begins; and so may one that takes it up again.
    for side in SIDES:
        first: list[tuple[int | None, str | None, Side]] = [
            (None, kind, side) for kind in ("booted", "command", "begun")
        ]
        later: list[tuple[int | None, str | None, Side]] = [
            (None, kind, side) for kind in ("booted", "command", "ended")
        ]
        stretches.append((*first, (5, None, "acknowledged"), *later))
    return [Plan(plan.experiments, plan.strategy, boundaries=stretch) for stretch in stretches]


def _stretches(
    boundaries: Sequence[tuple[int | None, str | None, Side]],
) -> list[tuple[tuple[int | None, str | None, Side], ...]]:
    return [tuple(boundaries[at : at + STRETCH]) for at in range(0, len(boundaries), STRETCH)]


def at_seeded_moments(plan: Plan, kills: int, length: int, seed: int) -> list[Plan]:
    """The plans of the seeded kills, so many to a chain."""
    shares = [min(length, kills - at) for at in range(0, kills, length)]
    return [
        Plan(plan.experiments, plan.strategy, f"{seed} {plan.strategy} {index}", share)
        for index, share in enumerate(shares)
    ]


def uninterrupted(root: Path, plan: Plan) -> Whole:
    """The campaign without kills, kept in the folder of the sweep."""
    path = root / f"{plan.strategy}-{plan.experiments}.json"
    if not path.exists():
        shutil.rmtree(root / "whole", ignore_errors=True)
        Whole.lived(Folder(root / "whole", plan.experiments, plan.strategy)).kept(path)
    whole = Whole.read(path)
    print(f"uninterrupted: {whole.events} events in {whole.wall_s:.1f} s", file=sys.stderr, flush=True)
    return whole


def _job(plan: Plan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in ("experiments", "strategy", "seed", "seeded", "boundaries")}


def report(found: Sequence[Found], experiments: str) -> str:
    """What all chains have shown, in words."""
    total: Counter[str] = Counter()
    moments: Counter[str] = Counter()
    sides: Counter[str] = Counter()
    for each in found:
        total.update(kills=each.kills, campaigns=each.campaigns, commands=each.commands)
        total.update(proposing=each.proposing, late=each.late)
        moments.update(each.moments)
        sides.update(each.sides)
    return (
        f"{total['kills']} kills of the daemon over {total['campaigns']} campaigns of {experiments} experiments: 0 "
        f"acknowledged events lost, 0 of {total['commands']} acknowledged commands lost, 0 experiments repeated, "
        f"{total['campaigns']} ends equal to the uninterrupted run\n"
        f"how they struck: {_listed(sides)}; {total['proposing']} while the planner owed an answer; "
        f"{total['late']} more lives ended before their moment came\n"
        f"the campaign's last event at the kill: {_listed(moments)}"
    )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{word} {n}" for word, n in sorted(counts.items()))


def main() -> None:
    """Run the sweep and say what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--chain", type=int, default=10, help="seeded kills of one chain of campaigns")
    parser.add_argument("--boundaries", type=int, nargs="?", const=1, default=0, help="every so many events, too")
    parser.add_argument("--share", type=float, default=0.2, help="of the boundaries struck on their other sides, too")
    parser.add_argument("--strategy", default="sobol")
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--experiments", type=int, default=50)
    parser.add_argument(
        "--ensemble", type=int, default=0, help="so many of the seeded kills with the ensemble's process"
    )
    parser.add_argument("--ensemble-experiments", type=int, default=14)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir()))
    parser.add_argument("--results", type=Path, default=ROOT / "runs" / "bench-kills.jsonl")
    options = parser.parse_args()
    code = fingerprint("tests/crash")
    root = options.folder / f"lumiflow-kills-{code}"
    root.mkdir(exist_ok=True)
    lock = FileLock(root)  # two sweeps of the same code would kill each other's campaigns
    usual = Plan(options.experiments, options.strategy)
    plans = at_seeded_moments(usual, options.kills - options.ensemble, options.chain, options.seed)
    whole = uninterrupted(root, usual)
    if options.boundaries:
        plans += at_every_event(whole, usual, options.boundaries, options.share, options.seed)
    if options.ensemble:
        guided = Plan(options.ensemble_experiments, "ensemble")
        uninterrupted(root, guided)
        plans += at_seeded_moments(guided, options.ensemble, options.chain // 2, options.seed)
    plans.sort(key=lambda plan: (plan.strategy != "ensemble", not plan.boundaries))
    kept = Kept(options.results, code, options.jobs)
    found = kept.run(chain, [(str(root), _job(plan)) for plan in plans], Found)
    troubles = [each.trouble for each in found if each.trouble]
    if troubles:
        raise SystemExit("\n".join([*troubles, f"{len(troubles)} chains ended otherwise; what they left is in {root}"]))
    shutil.rmtree(root)
    lock.release()
    lock_path(root).unlink()
    guided_words = f" ({options.ensemble_experiments} with the ensemble)" if options.ensemble else ""
    print(report(found, f"{options.experiments}{guided_words}"))


if __name__ == "__main__":
    main()
