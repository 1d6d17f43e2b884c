"""Earlier experiments that a campaign file names, for the planner to learn from.

They are read once, when a run begins or is handed to a daemon, and stand in its first event: so a resumed or replayed
run needs neither the journals nor the tables that they came from, and a proposal stays a function of what the journal
says.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.campaign.archive_files import OUTPUTS, ArchiveReading, Row, wrong_archive
from orchestrator.canonical import canonical
from orchestrator.config import load_campaign
from orchestrator.config.archives import RunsArchive
from orchestrator.yaml_source import parse, read_text

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.config import CampaignConfig, Input, LoadedCampaign
    from orchestrator.errors import Problem
    from planners import Archive

MAX_ROWS = 5000
_AT_A_TIME = 1000


def gather(loaded: LoadedCampaign) -> list[dict[str, Any]]:
    """The archives of a campaign as its journal keeps them: name, sources, digest of the rows, rows, and how many
    experiments lay outside of the inputs' ranges, and how many inside of them but off the inputs' steps or values.

    Raises ConfigError for a file that cannot be read, that lacks an input of the campaign, or that says too much; for a
    run that is named twice, or whose peaks are of another kind of spectrum.
    """
    found: list[dict[str, Any]] = []
    runs: dict[str, str] = {}
    for name, entry in loaded.config.archives.items():
        reading = ArchiveReading(loaded, name, runs)
        if isinstance(entry, RunsArchive):
            rows = [row for place, file in enumerate(entry.files) for row in reading.run(file, place)]
            sources = list(entry.files)
        else:
            rows, sources = reading.table(entry), [entry.file]
        found.append(_kept(loaded, name, sources, rows))
    return _within(found, loaded)


def gather_for(campaign: Path, rig: Path) -> list[dict[str, Any]]:
    """The archives of a campaign file that is to run on this rig, elsewhere; see `gather`. Raises ConfigError."""
    if parse(read_text(campaign), str(campaign)).root.get("archives") is None:
        return []  # what else is wrong with it is for those to say who are to run it
    return gather(load_campaign(campaign, rig))


def taken_along(loaded: LoadedCampaign, sent: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The archives that came with a campaign's text, as its journal keeps them; no file is read. See `gather`.

    Raises ConfigError where they are not those that the campaign names, or where one of them is none.
    """
    by_name = {archive["name"]: archive for archive in sent}
    named = ", ".join(loaded.config.archives) or "none"
    beside = [name for name in by_name if name not in loaded.config.archives]
    if beside:
        raise wrong_archive(loaded, "", f"{', '.join(beside)} came along and is not named here", allowed=named)
    if len(by_name) < len(sent):
        raise wrong_archive(loaded, "", "one of them came along twice", allowed=f"{named}, each of them once")
    found: list[dict[str, Any]] = []
    for name in loaded.config.archives:
        archive = by_name.get(name)
        if archive is None:
            message = (
                "its experiments did not come along: a daemon opens no file that a campaign names; lumiflow submit "
                "reads them and sends them with it"
            )
            raise wrong_archive(loaded, name, message, offending="")
        rows: list[Row] = [list(row) for row in archive["rows"]]
        strange = next((place for place, row in enumerate(rows, 1) if not _is_row(row, loaded.config)), None)
        if strange is not None:
            wanted = f"{len(loaded.config.inputs)} inputs, then peak_ev, fwhm_ev, quantum_yield, peak_sd_ev, failed"
            raise wrong_archive(loaded, name, f"row {strange} is no experiment", allowed=wanted)
        known = (int(archive["outside"]), int(archive["off_steps"]))
        found.append(_kept(loaded, name, list(archive["files"]), rows, known))
    return _within(found, loaded)


def _is_row(row: Row, config: CampaignConfig) -> bool:
    recipe, readings = row[: len(config.inputs)], row[len(config.inputs) :]
    if len(readings) != len(OUTPUTS) + 1 or not all(map(_is_number, recipe)):
        return False
    *numbers, failed = readings
    # A yield that a rig has read is what it is: only a table's is held to what a yield can be.
    held = [(number, output) for number, output in zip(numbers, OUTPUTS, strict=True) if output.key != "yield"]
    return (
        all(number is None or _is_number(number) for number in numbers)
        and all(number is None or output.possible(number) for number, output in held)
        and failed is (numbers[0] is None)
    )


def _is_number(cell: float | bool | None) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool) and math.isfinite(cell)


def _kept(
    loaded: LoadedCampaign, name: str, files: list[str], rows: list[Row], left_before: tuple[int, int] = (0, 0)
) -> dict[str, Any]:
    """One archive without the experiments that a planner does not take; ``left_before`` were left out earlier."""
    if not rows and not any(left_before):
        raise wrong_archive(loaded, name, "it has no experiments")
    kept, outside, off_steps = _sorted_out(rows, loaded.config)
    outside, off_steps = outside + left_before[0], off_steps + left_before[1]
    if not kept:
        message = f"none of its {outside} experiments lies within the ranges of the inputs"
        if off_steps:
            message = f"none of its experiments can be learnt from: {_words(loaded, outside, off_steps)}"
        raise wrong_archive(loaded, name, message)
    digest = hashlib.sha256(canonical(kept).encode()).hexdigest()
    return {
        "name": name,
        "files": files,
        "rows_sha256": digest,
        "rows": kept,
        "outside": outside,
        "off_steps": off_steps,
    }


def _within(found: list[dict[str, Any]], loaded: LoadedCampaign) -> list[dict[str, Any]]:
    if sum(len(archive["rows"]) for archive in found) > MAX_ROWS:
        raise wrong_archive(loaded, "", f"more than {MAX_ROWS} experiments in all")
    return found


def learns_from_archives(config: CampaignConfig) -> bool:
    """Whether the campaign's strategy has a model, its own or its library's, that takes notice of them."""
    from planners import strategy
    from planners.guests import Guest
    from planners.modelled import Modelled

    return isinstance(strategy(config.planner.strategy), Modelled | Guest)


def left_out(loaded: LoadedCampaign, found: Sequence[Mapping[str, Any]]) -> tuple[Problem, ...]:
    """What deserves to be known of gathered archives: the experiments that a planner would not be told of, counted."""
    notes: list[Problem] = []
    if found and not learns_from_archives(loaded.config):
        message = f"the strategy {loaded.config.planner.strategy!r} takes no notice of archives"
        notes.append(loaded.campaign_source.problem(("archives",), message, at_key=True, offending=""))
    for archive in found:
        missing = archive["outside"] + archive["off_steps"]
        if missing:
            why = _words(loaded, archive["outside"], archive["off_steps"])
            message = f"left out of its {len(archive['rows']) + missing} experiments: {why}"
            where = ("archives", archive["name"])
            notes.append(loaded.campaign_source.problem(where, message, at_key=True, offending=""))
    return tuple(notes)


def of_header(header: Mapping[str, Any]) -> tuple[Archive, ...]:
    """The archives of a run as its planner takes them, from the first event of its journal."""
    from planners import Archive, Observation

    def told(row: Sequence[Any]) -> Observation:
        *recipe, peak_ev, fwhm_ev, quantum_yield, peak_sd_ev, failed = row
        return Observation(tuple(recipe), peak_ev, fwhm_ev, quantum_yield, peak_sd_ev, bool(failed))

    return tuple(Archive(each["name"], tuple(map(told, each["rows"]))) for each in header.get("archives", ()))


def _sorted_out(rows: Sequence[Row], config: CampaignConfig) -> tuple[list[Row], int, int]:
    """The experiments that a planner takes; how many lie outside of the ranges; how many inside, but off the steps."""
    import numpy as np

    from orchestrator.campaign.planning import search_space  # here, since planning itself begins with this module
    from planners import SearchSpace, Variable

    space = search_space(config)
    ranges = SearchSpace(tuple(Variable(name, *_ends(entry)) for name, entry in config.inputs.items()))
    kept: list[Row] = []
    outside = 0
    for start in range(0, len(rows), _AT_A_TIME):
        some = rows[start : start + _AT_A_TIME]
        recipes = np.array([row[: len(config.inputs)] for row in some], dtype=np.float64)
        outside += int(np.sum(~ranges.contains(recipes)))
        kept += [row for row, taken in zip(some, space.contains(recipes), strict=True) if taken]
    return kept, outside, len(rows) - len(kept) - outside


def _ends(entry: Input) -> tuple[float, float]:
    """The range of an input as the file has it, whether or not its steps reach the upper end."""
    return entry.given.range or (entry.low, entry.high)


def _words(loaded: LoadedCampaign, outside: int, off_steps: int) -> str:
    """Why experiments are left out."""
    parts = [f"{outside} outside of the ranges of the inputs"] if outside else []
    if off_steps:
        stepped = ", ".join(name for name, entry in loaded.config.inputs.items() if entry.choices)
        parts.append(f"{off_steps} off the steps or values of {stepped}")
    return " and ".join(parts)
