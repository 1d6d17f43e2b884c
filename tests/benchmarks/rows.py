"""The rows of a benchmark: one line of JSON for each campaign, in a results file and as the repository keeps them.

What was run is kept in ``tests/benchmarks/rows``, packed (docs/decisions/0039). A results file that is not there begins
with that, so that on a clean clone figures can be shown, reckoned otherwise, and gone on with from where they ended.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast

from orchestrator.file_lock import FileLock

Run = TypeVar("Run")
ROWS = Path(__file__).with_name("rows")


def begin_with_kept(results: Path, rows: Path = ROWS) -> None:
    """Write the kept rows of a results file, if it is not there and there are any."""
    kept = _packed(results, rows)
    if not results.exists() and kept.exists():
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_bytes(lzma.decompress(kept.read_bytes()))


def keep(
    results: Path, told_apart_by: Sequence[str], rows: Path = ROWS, current: Collection[str] = frozenset()
) -> None:
    """Keep the rows of a results file beside those that are kept: the newest of each campaign, in an order that does
    not depend on which was run first, so that the same rows give the same bytes.

    ``told_apart_by``: the fields of a row that say which campaign it is. ``current``: digests of the code as it is; a
    kept row gives way to none of other code, such as an old results file holds (empty: to any). Kept rows of a pool
    whose table has changed since are dropped.
    """
    found = finished(results)
    if not found:
        return
    tables = {row.get("digest") for row in found}
    packed = _packed(results, rows)
    before = lzma.decompress(packed.read_bytes()).decode() if packed.exists() else ""

    def by_campaign(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {json.dumps([row.get("run", row)[name] for name in told_apart_by]): row for row in rows}

    newest = by_campaign(row for row in map(json.loads, before.splitlines()) if row.get("digest") in tables)
    for campaign, row in by_campaign(found).items():
        if campaign not in newest or not current or _code(row) in current:
            newest[campaign] = row
    rows.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(newest[campaign]) + "\n" for campaign in sorted(newest))
    packed.write_bytes(lzma.compress(lines.encode(), preset=9 | lzma.PRESET_EXTREME))


def finished(results: Path) -> list[dict[str, Any]]:
    """The rows of a results file, if there is one, but for a last line that was not finished.

    Exits with a line of words where another line is no row.
    """
    if not results.exists():
        return []
    text = results.read_text(encoding="utf-8")
    *lines, rest = text.split("\n")
    found: list[dict[str, Any]] = []
    if rest and not rest.startswith("{"):
        lines.append(rest)
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or not _code(row):
            raise SystemExit(f"{results}:{number}: this line is no row of a benchmark: {line[:60]!r}")
        found.append(row)
    return found


@contextmanager
def appended(results: Path) -> Iterator[TextIO]:
    """A results file to write rows to, for one process at a time; a last line that was not finished is cut off.

    Exits with a line of words where another process writes to it.
    """
    results.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(results)
    except BlockingIOError:
        raise SystemExit(f"{results}: another process writes its rows there") from None
    try:
        finished(results)
        with results.open("a+b") as raw:
            raw.seek(0)
            raw.truncate(raw.read().rfind(b"\n") + 1)
        with results.open("a", encoding="utf-8") as file:
            yield file
    finally:
        lock.release()


def as_run(kind: Callable[..., Run], told: Mapping[str, Any]) -> Run:
    """A row as the frozen dataclass that it was."""
    values = {field.name: told[field.name] for field in fields(cast(Any, kind))}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _code(row: Mapping[str, Any]) -> str:
    """The digest of what made a row."""
    return str(row.get("code") or row.get("planners") or "")


def _packed(results: Path, rows: Path) -> Path:
    return rows / f"{results.name}.xz"
