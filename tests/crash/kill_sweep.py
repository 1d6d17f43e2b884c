"""Kill a campaign at seeded moments, resume it, and hold the end against the uninterrupted run.

    python -m tests.crash.kill_sweep --kills 50 --strategy ensemble

Odd kills strike from outside after a seeded time on the wall's clock, anywhere in the run; even ones strike from inside
right after a seeded event was acknowledged. Some resumed runs are killed again. In the end the journal must equal the
uninterrupted one byte for byte, so nothing acknowledged was lost, nothing completed was repeated, and nothing ended
otherwise.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from orchestrator.campaign.header import Overrides
from orchestrator.history.fold import fold
from orchestrator.journal.journal import Event, Journal
from orchestrator.sittings.runner import RunOptions, run_campaign
from orchestrator.sittings.show import Show

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"


class _Deadly(Show):
    """Kills its own process when the given number of events has been acknowledged."""

    def __init__(self, after: int | None) -> None:
        super().__init__(as_json=True)
        self._left = after

    def say(self, words: str) -> None:
        """What a person would be told goes to the log of the sweep."""
        print(words, file=sys.stderr, flush=True)

    def event(self, event: Event) -> None:
        super().event(event)
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Killed:
    """One kill: how it was done, how many events had been acknowledged, and in the middle of what."""

    how: str
    acknowledged: int
    last_kind: str


def campaign_file(folder: Path, experiments: int) -> Path:
    """The quickstart campaign with its rig, cut to a number of experiments."""
    text = (CONFIGS / "campaigns" / "quickstart.yaml").read_text()
    for old, new in (
        ("experiments: 25", f"experiments: {experiments}"),
        ("initial: 8", f"initial: {min(8, experiments)}"),
        ("../rigs/perovskite-bench.yaml", "rig.yaml"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "rig.yaml").write_text((CONFIGS / "rigs" / "perovskite-bench.yaml").read_text())
    path = folder / "campaign.yaml"
    path.write_text(text)
    return path


def sitting(journal: Path, strategy: str, *, resume: bool, die_after: int | None = None) -> int:
    """Run one sitting in a process of its own; returns that process's id."""
    child = os.fork()
    if child:
        return child
    try:
        # Killed before its first event, a run has not yet written down what the command line asked for.
        overrides = Overrides() if resume and contents(journal) else Overrides(seed=3, strategy=strategy)
        options = RunOptions(
            journal.parent / "campaign.yaml", overrides=overrides, journal=journal, resume=resume, report=False
        )
        run_campaign(options, _Deadly(die_after), ask=None)
    except BaseException as error:  # noqa: BLE001 - the child must not run on into its parent's code
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(9)
    os._exit(0)


def finish(child: int) -> None:
    """Wait for a sitting that must end by itself."""
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise SystemExit(f"a sitting that should have ended well ended with status {status}")


def contents(journal: Path) -> str:
    with Journal.open(journal, readonly=True) as opened:
        return opened.dump()


def first_difference(expected: str, got: str) -> str:
    """The first line that differs, around the first character that does."""
    for wanted, found in zip(expected.splitlines(), got.splitlines(), strict=False):
        if wanted != found:
            at = next((i for i, (a, b) in enumerate(zip(wanted, found, strict=False)) if a != b), 0)
            around = slice(max(at - 200, 0), at + 200)
            return f"{wanted[:60]}\nwanted … {wanted[around]}\nfound  … {found[around]}"
    return f"{expected.count(chr(10))} events wanted, {got.count(chr(10))} found"


def strike(journal: Path, strategy: str, generator: random.Random, events: int, wall_s: float, *, inside: bool) -> None:
    """One sitting that is killed."""
    resume = journal.exists()
    if inside:
        child = sitting(journal, strategy, resume=resume, die_after=generator.randint(1, events - 1))
        os.waitpid(child, 0)
        return
    child = sitting(journal, strategy, resume=resume)
    time.sleep(generator.uniform(0.0, wall_s))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def sweep(kills: int, strategy: str, seed: int, experiments: int) -> list[Killed]:
    """Kill and resume; raises SystemExit with words at the first run that ends otherwise."""
    generator = random.Random(seed)
    report: list[Killed] = []
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.sqlite"
        campaign_file(Path(folder), experiments)
        began = time.monotonic()
        finish(sitting(whole, strategy, resume=False))
        wall_s = time.monotonic() - began
        expected = contents(whole)
        events = expected.count("\n")
        for number in range(kills):
            journal = Path(folder) / f"killed-{number}.sqlite"
            inside = number % 2 == 0
            strike(journal, strategy, generator, events, wall_s, inside=inside)
            if number % 5 == 4 and journal.exists():
                strike(journal, strategy, generator, events, wall_s, inside=not inside)
            before = contents(journal) if journal.exists() and journal.stat().st_size else ""
            lines = before.splitlines()
            if not expected.startswith(before):
                raise SystemExit(f"kill {number}: what was acknowledged is not how the uninterrupted run begins")
            state = None
            if lines:
                with Journal.open(journal, readonly=True) as opened:
                    state = tuple(opened.events())
            report.append(Killed("inside" if inside else "outside", len(lines), state[-1].kind if state else "nothing"))
            if before != expected:  # a kill may come too late to hurt anything
                finish(sitting(journal, strategy, resume=journal.exists()))
            if contents(journal) != expected:
                raise SystemExit(
                    f"kill {number} ({report[-1]}): the resumed run did not end like the uninterrupted one:\n"
                    f"{first_difference(expected, contents(journal))}"
                )
            with Journal.open(journal, readonly=True) as opened:
                told = [experiment.n for experiment in fold(opened.events()).told]
            if told != list(range(1, len(told) + 1)):
                raise SystemExit(f"kill {number}: experiments were told out of order or more than once: {told}")
            print(f"kill {number}: {report[-1]}", file=sys.stderr, flush=True)
    return report


def main() -> None:
    """Run the sweep and say what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--strategy", default="ensemble")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--experiments", type=int, default=25)
    options = parser.parse_args()
    report = sweep(options.kills, options.strategy, options.seed, options.experiments)
    kinds = sorted({killed.last_kind for killed in report})
    print(
        f"{len(report)} kills: 0 acknowledged events lost, 0 experiments repeated, {len(report)} ends equal to the "
        f"uninterrupted run; last acknowledged event at the kill: {', '.join(kinds)}"
    )


if __name__ == "__main__":
    main()
