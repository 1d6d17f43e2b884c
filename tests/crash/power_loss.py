"""Write a journal, let the power fail at every operation of its disk, and hold what is left against what was promised.

    python -m tests.crash.power_loss --records 24 --stride 61

At each operation: everything unsynced lost, any sectors of it kept (seeded), and each write torn at every `stride`-th
byte and at both ends; the writes of the last record at every byte (every `--last`-th). Nothing acknowledged may be
missing, nothing altered, and the journal must go on.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

from orchestrator.canonical import canonical
from orchestrator.clock.virtual_time import UtcClock, run_virtual
from orchestrator.file_lock import lock_path
from orchestrator.journal.journal import Journal
from tests.crash.disk import Disk, Op, PowerLoss, Remains, disk

NAME = "run.sqlite"
CHECKPOINT_PAGES = 24
"""SQLite moves its log into the file after so many pages; the default of 1,000 would need a large journal."""


@dataclass(frozen=True)
class Written:
    """A journal's life on a disk: the log, the files before it, its events, and the marks in its lock file."""

    log: list[Op]
    before: dict[str, bytes]
    lines: tuple[str, ...]
    marks: dict[int, bytes]


def write(folder: Path, seen: Disk, records: int, synchronous: str = "FULL") -> Written:
    """A journal of so many records, some with calls and blobs, one larger than a page; closed in good order."""
    path = folder / NAME
    before: dict[str, bytes] = {}
    marks: dict[int, bytes] = {}
    lines: list[str] = []

    async def main() -> None:
        draws = random.Random(records)
        with Journal.create(path, UtcClock(asyncio.get_running_loop())) as journal:
            journal._connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            journal._connection.execute(f"PRAGMA synchronous={synchronous}")
            seen.log.clear()
            before[NAME] = path.read_bytes()
            for n in range(records):
                await asyncio.sleep(1.0)
                data = {"n": n, "text": "x" * draws.choice((10, 10, 300, 6000))}
                if n % 3 == 1:
                    data["spectrum"] = journal.put_blob(draws.randbytes(2000))
                    journal.note_call({"d": "spectrometer", "i": n, "v": "acquire", "a": {}, "t": float(n), "r": None})
                event = await journal.append("told", data)
                if n % 5 == 0:
                    await journal.note_host("wall_s", n)
                lines.append(canonical(event.row()))
                marks[n + 1] = lock_path(path).read_bytes()
                seen.acknowledge(n + 1)

    run_virtual(main())
    return Written(list(seen.log), before, tuple(lines), marks)


def scratch() -> str | None:
    """Where thousands of small files cost no disk its life."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def examine(remains: Remains, written: Written, *, marked: bool) -> str | None:
    """What is wrong with what was left, or None."""
    with tempfile.TemporaryDirectory(dir=scratch()) as name:
        folder = Path(name)
        remains.lay_out(folder)
        path = folder / NAME
        if marked and remains.acknowledged:
            lock_path(path).write_bytes(written.marks[remains.acknowledged])

        async def main() -> str | None:
            with Journal.open(path, readonly=True) as reader:
                readable = reader.seq
            with Journal.open(path, UtcClock(asyncio.get_running_loop())) as journal:
                lines = tuple(canonical(event.row()) for event in journal.events())
                journal.host()
                if lines != written.lines[: len(lines)]:
                    return "a record is altered"
                if min(len(lines), readable) < remains.acknowledged:
                    return f"{remains.acknowledged} records were acknowledged, {min(len(lines), readable)} are left"
                await journal.append("resumed", {})
            with Journal.open(path, readonly=True) as journal:
                return None if journal.seq == len(lines) + 1 else "it cannot be written on"

        try:
            return run_virtual(main())
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the sweep looks for
            return f"{type(error).__name__}: {error}"


@dataclass
class Tally:
    """How often the power failed, and the first few things that were wrong."""

    failures: int = 0
    lengths_torn: int = 0
    wrong: list[str] | None = None

    def note(self, where: str, words: str | None) -> None:
        self.failures += 1
        if words is not None:
            self.wrong = [*(self.wrong or []), f"{where}: {words}"]


def sweep(
    records: int, stride: int, last_stride: int, draws_per_op: int, seed: int, synchronous: str = "FULL"
) -> Tally:
    """Let the power fail everywhere."""
    with tempfile.TemporaryDirectory(dir=scratch()) as folder, disk() as seen:
        written = write(Path(folder), seen, records, synchronous)
    *_, last_began, last_ended = (at for at, op in enumerate(written.log) if op.kind == "acknowledged")
    tally = Tally()
    draws = random.Random(seed)
    loss = PowerLoss(written.log, written.before)
    while True:
        op = loss.next()
        where = f"operation {loss.at} ({op.kind} {op.name})" if op else "the end"
        if op is None or op.kind != "acknowledged":
            tally.note(f"{where}, nothing unsynced", examine(loss.nothing_more(), written, marked=True))
            for _ in range(draws_per_op):
                marked = draws.random() < 0.5
                tally.note(f"{where}, some sectors", examine(loss.sectors(draws), written, marked=marked))
        if op is None:
            return tally
        if op.kind == "write" and not op.name.endswith("-shm"):
            step = last_stride if last_began < loss.at < last_ended else stride
            lengths = sorted({0, 1, len(op.data) - 1, len(op.data), *range(draws.randrange(step), len(op.data), step)})
            for length in lengths:
                tally.lengths_torn += 1
                tally.note(f"{where}, torn at {length}", examine(loss.torn(length), written, marked=True))
        loss.step()


def main() -> None:
    """Run the sweep and say what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=24)
    parser.add_argument("--stride", type=int, default=61)
    parser.add_argument("--last", type=int, default=1)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tally = sweep(options.records, options.stride, options.last, options.draws, options.seed)
    for words in (tally.wrong or [])[:5]:
        print(words)
    if tally.wrong:
        raise SystemExit(f"{len(tally.wrong)} of {tally.failures} power failures left a journal that broke its promise")
    print(
        f"{tally.failures} power failures in a journal of {options.records} records, {tally.lengths_torn} of them "
        "within a write: 0 acknowledged records lost, 0 altered"
    )


if __name__ == "__main__":
    main()
