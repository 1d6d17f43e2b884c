"""Flip bits of a journal, one at a time anywhere in its files, and see that each is noticed.

    python -m tests.crash.bit_flips --flips 1000

A journal closed in good order must refuse to open after any flip. One whose process was killed has a write-ahead log
beside it and bears no seal: a flip there must be noticed too, or have changed nothing that can be read. In both, what
precedes the damage must be kept by `recover`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.canonical import canonical
from orchestrator.clock.virtual_time import UtcClock, run_virtual
from orchestrator.errors import JournalError
from orchestrator.file_lock import lock_path
from orchestrator.journal.journal import Journal, JournalDamaged, recover
from orchestrator.journal.store import JournalNewer
from tests.crash.power_loss import NAME, scratch

Said = tuple[tuple[str, ...], tuple[tuple[int, str, object], ...]]
"""What a journal says: its events as lines, and its facts of the host."""


@dataclass
class Flips:
    """How each flip was met, how many of the records `recover` then kept, and the flips that were not met: where, and
    what was wrong."""

    answers: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    unnoticed: list[str] = field(default_factory=list)


def journal(folder: Path, records: int) -> tuple[Said, dict[str, bytes]]:
    """A journal in `folder`, closed; what it says, and its files as a kill before the close would have left them."""
    path = folder / NAME
    killed: dict[str, bytes] = {}

    async def main() -> None:
        draws = random.Random(records)
        with Journal.create(path, UtcClock(asyncio.get_running_loop())) as run:
            run._connection.execute("PRAGMA wal_autocheckpoint=40")
            for n in range(records):
                await asyncio.sleep(1.0)
                data = {"n": n, "text": "x" * draws.choice((10, 10, 300, 6000))}
                if n % 3 == 1:
                    data["spectrum"] = run.put_blob(draws.randbytes(2000))
                await run.append("told", data)
                if n % 5 == 0:
                    await run.note_host("wall_s", n)
            for file in (path, path.with_name(NAME + "-wal"), lock_path(path)):
                killed[file.name] = file.read_bytes()

    run_virtual(main())
    return said(path), killed


def said(path: Path) -> Said:
    """Everything that the journal says. Raises JournalError."""
    with Journal.open(path, readonly=True) as opened:
        events = tuple(opened.events())
        for address in sorted({address for event in events for address in event.blobs()}):
            opened.blob(address)
        return tuple(canonical(event.row()) for event in events), opened.host()


def flip(files: dict[str, bytes], name: str, bit: int, truth: Said, flips: Flips, *, may_be_harmless: bool) -> None:
    """Flip one bit of one file and see what becomes of it."""
    altered = bytearray(files[name])
    altered[bit // 8] ^= 1 << bit % 8
    where = f"bit {bit % 8} of byte {bit // 8} of {name}"
    with tempfile.TemporaryDirectory(dir=scratch()) as scratched:
        folder = Path(scratched)
        for other, content in {**files, name: bytes(altered)}.items():
            (folder / other).write_bytes(content)
        path = folder / NAME
        try:
            again = said(path)
        except JournalDamaged as damage:
            flips.answers["named outside the records" if "outside its records" in str(damage) else "record named"] += 1
            _recovered(path, damage.seq - 1, truth, where, flips)
        except JournalNewer:
            flips.answers["refused as a newer journal"] += 1
        except JournalError:
            flips.answers["refused as no journal"] += 1
            _recovered(path, 0, truth, where, flips)
        else:
            if may_be_harmless and again == truth:
                flips.answers["changed nothing that can be read"] += 1
            else:
                flips.unnoticed.append(where)


def _recovered(path: Path, sound: int, truth: Said, where: str, flips: Flips) -> None:
    """What precedes the damage is kept, readable, and can be written on; perhaps more than SQLite could read."""
    try:
        saved = recover(path)
        lines, _ = said(path)
    except JournalError as error:
        flips.unnoticed.append(f"{where}: not recovered: {error}")
        return
    if saved.kept < sound or lines != truth[0][: saved.kept] or saved.damaged_copy is None:
        flips.unnoticed.append(f"{where}: {sound} records were sound, {saved.kept} were kept")
    flips.kept["all" if saved.kept == len(truth[0]) else "some" if saved.kept else "none"] += 1


def sweep(count: int, records: int, seed: int) -> tuple[Flips, Flips]:
    """Flips in a closed journal, and as many in a killed one."""
    draws = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=scratch()) as name:
        folder = Path(name)
        truth, killed = journal(folder, records)
        closed = {NAME: (folder / NAME).read_bytes(), f"{NAME}.lock": lock_path(folder / NAME).read_bytes()}
    at_rest, in_flight = Flips(), Flips()
    for _ in range(count):
        flip(closed, NAME, draws.randrange(8 * len(closed[NAME])), truth, at_rest, may_be_harmless=False)
    parts = [name for name in (NAME, f"{NAME}-wal") if killed[name]]
    weights = [len(killed[name]) for name in parts]
    for _ in range(count):
        (part,) = draws.choices(parts, weights)
        flip(killed, part, draws.randrange(8 * len(killed[part])), truth, in_flight, may_be_harmless=True)
    return at_rest, in_flight


def main() -> None:
    """Run the sweep and say what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--records", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for what, flips in zip(("closed", "killed"), sweep(options.flips, options.records, options.seed), strict=True):
        answers = ", ".join(f"{count} {answer}" for answer, count in flips.answers.most_common())
        print(f"{what} journal: {options.flips} flips, {len(flips.unnoticed)} unnoticed; {answers}")
        print(
            f"  of its {options.records} records, recover kept {', '.join(f'{w}: {n}' for w, n in flips.kept.items())}"
        )
        for words in flips.unnoticed[:5]:
            print(f"  {words}")


if __name__ == "__main__":
    main()
