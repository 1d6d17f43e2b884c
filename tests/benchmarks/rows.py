"""The rows of a benchmark: one line of JSON for each campaign, in a results file and as the repository keeps them.

What was run is kept in ``tests/benchmarks/rows``, packed (docs/decisions/0039). A results file that is not there begins
with that, so that on a clean clone figures can be shown, reckoned otherwise, and gone on with from where they ended.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, cast

Run = TypeVar("Run")
ROWS = Path(__file__).with_name("rows")


def begin_with_kept(results: Path, rows: Path = ROWS) -> None:
    """Write the kept rows of a results file, if it is not there and there are any."""
    kept = _packed(results, rows)
    if not results.exists() and kept.exists():
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_bytes(lzma.decompress(kept.read_bytes()))


def keep(results: Path, told_apart_by: Sequence[str], rows: Path = ROWS) -> None:
    """Keep the rows of a results file: the newest of each campaign, in an order that does not depend on which was run
    first, so that the same rows give the same bytes.

    ``told_apart_by``: the fields of a row that say which campaign it is.
    """
    newest = {}
    for row in finished(results):
        told = row.get("run", row)
        newest[json.dumps([told[name] for name in told_apart_by])] = row
    if not newest:
        return
    rows.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(newest[campaign]) + "\n" for campaign in sorted(newest))
    _packed(results, rows).write_bytes(lzma.compress(lines.encode(), preset=9 | lzma.PRESET_EXTREME))


def finished(results: Path) -> list[dict[str, Any]]:
    """The rows of a results file, if there is one; a last line that was not finished is cut off."""
    if not results.exists():
        return []
    text = results.read_text(encoding="utf-8")
    if not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]
        results.write_text(text, encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def as_run(kind: Callable[..., Run], told: Mapping[str, Any]) -> Run:
    """A row as the frozen dataclass that it was."""
    values = {field.name: told[field.name] for field in fields(cast(Any, kind))}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _packed(results: Path, rows: Path) -> Path:
    return rows / f"{results.name}.xz"
