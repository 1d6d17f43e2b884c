"""The rows behind the figures, as the repository keeps them (docs/decisions/0039).

What a benchmark has run, one line of JSON a campaign, is kept in ``tests/benchmarks/rows``, packed. A results file that
is not there begins with them, so that on a clean clone figures can be shown, reckoned otherwise, and gone on with from
where they ended.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Sequence
from pathlib import Path

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

    ``told_apart_by``: the fields of a row that say which campaign it is. A line that was not finished is left out.
    """
    newest: dict[str, str] = {}
    for line in results.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            row = json.loads(line)
            row = row.get("run", row)
            newest[json.dumps([row[name] for name in told_apart_by])] = line
    rows.mkdir(parents=True, exist_ok=True)
    lines = "".join(newest[campaign] for campaign in sorted(newest))
    _packed(results, rows).write_bytes(lzma.compress(lines.encode(), preset=9 | lzma.PRESET_EXTREME))


def _packed(results: Path, rows: Path) -> Path:
    return rows / f"{results.name}.xz"
