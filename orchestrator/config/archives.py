"""The part of a campaign file that names earlier experiments for the planner to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from orchestrator.config.quantities import Line, Name, Section
from orchestrator.config.table_dialect import DecimalMark

UnitText = Annotated[str, Field(max_length=20)]


class ArchiveColumn(Section):
    """A column of a table by its header, and the unit of its numbers as a quantity would be written with it.

    The column of a ``pump_choice`` holds names of pumps, which have no unit.
    """

    column: Line
    unit: UnitText = ""


class RunsArchive(Section):
    """Journals of earlier runs, by path from the campaign file. Their inputs are matched by what they mean."""

    kind: Literal["runs"]
    files: tuple[Line, ...] = Field(min_length=1, max_length=100)


class TableArchive(Section):
    """A comma-separated table with one experiment a row; a row without a peak is an experiment that failed.

    ``inputs``: for each input of the campaign its column. ``decimal``: what stands before the decimals of a number.
    """

    kind: Literal["table"]
    file: Line
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    decimal: DecimalMark = "."
    inputs: Mapping[Name, ArchiveColumn]
    peak: ArchiveColumn
    peak_sd: ArchiveColumn | None = None
    fwhm: ArchiveColumn | None = None
    quantum_yield: ArchiveColumn | None = Field(default=None, alias="yield")


Archive = Annotated[RunsArchive | TableArchive, Field(discriminator="kind")]
