"""The model of pool files: what a table of past experiments means, and what is to be found in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from orchestrator import units
from orchestrator.config.quantities import Line, Name, Quantity, Section, Text
from orchestrator.config.table_dialect import DecimalMark

Share = Annotated[float, Quantity(units.FRACTION, gt=0.0, le=1.0)]
Text_ = Annotated[str, Field(max_length=60)]


def _scalar(value: object) -> object:
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return value
    message = "text or a number is wanted here"
    allowed = 'a word that YAML takes for something else in quotes, such as "TRUE"'
    raise PydanticCustomError("quantity", "{message}", {"message": message, "allowed": allowed, "suggestion": ""})


Scalar = Annotated[str | int | float, BeforeValidator(_scalar)]
Amount = Scalar
"""A number in the unit of its output, written with it: ``2.60 eV``; bare where the output has no unit."""


class TableFormat(Section):
    """How the file is written. ``columns``: their names, where no first line has them; ``skip`` lines follow it.

    ``decimal``: what stands before the decimals of a number.
    """

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    decimal: DecimalMark = "."
    columns: tuple[Line, ...] | None = Field(default=None, min_length=1)
    skip: int = Field(default=0, ge=0, le=100)


class Condition(Section):
    """What a row says in one column; exactly one of the five tests."""

    column: Line
    equals: Scalar | None = None
    one_of: tuple[Scalar, ...] | None = Field(default=None, min_length=1)
    below: float | None = None
    above: float | None = None
    blank: bool | None = None


class InputColumn(Section):
    """One variable. ``column`` is its own name if not given; bounds are those of the table if ``range`` is not given.

    ``vector``: a column of bracketed lists of ``length`` numbers, each of them a continuous variable.
    """

    column: Line | None = None
    kind: Literal["continuous", "integer", "discrete", "categorical", "vector"] = "continuous"
    scale: Literal["linear", "log"] = "linear"
    unit: Text_ = ""
    transform: Line | None = None
    range: tuple[float, float] | None = None
    length: int | None = Field(default=None, ge=1, le=50)


class OutputColumn(Section):
    """One reading. ``transform`` is a formula of x, such as ``1239.842/x``; ``absent``: numbers that mean blank, also
    to tests of ``blank``.

    ``read_as``: numbers to take for cells that hold words, such as ``≥90%``; the transform applies to them too.
    """

    column: Line | None = None
    unit: Text_ = ""
    transform: Line | None = None
    absent: tuple[float, ...] = ()
    read_as: Mapping[str, float] = Field(default_factory=dict, max_length=50)


class TargetGoal(Section):
    """Reach each of these values of an output, in replays of its own."""

    output: Name
    values: tuple[Amount, ...] = Field(min_length=1, max_length=50)
    tolerance: Amount


class ExtremeGoal(Section):
    """Find this share of the conditions that are best by an output, in steps."""

    output: Name
    top: Share = 0.05
    find: tuple[Share, ...] = Field(default=(0.5, 0.8, 1.0), min_length=1, max_length=20)


class DesiredOutput(Section):
    """What an output is worth, 0 to 1: by its distance from a target, or on its way from ``none_at`` to ``full_at``.

    ``weight`` is its power in the weighted geometric mean of all, ``exponent`` bends the way.
    """

    target: Amount | None = None
    none_beyond: Amount | None = None
    full_at: Amount | None = None
    none_at: Amount | None = None
    weight: float = Field(default=1.0, gt=0.0, le=1000.0)
    exponent: float = Field(default=1.0, gt=0.0, le=100.0)


class DesirabilityGoal(Section):
    """Find this share of the conditions whose outputs together are best, in steps. A row without the first of the
    outputs has no reading; the others may be blank."""

    outputs: Mapping[Name, DesiredOutput] = Field(min_length=2, max_length=10)
    top: Share = 0.05
    find: tuple[Share, ...] = Field(default=(0.5, 0.8, 1.0), min_length=1, max_length=20)


class Goals(Section):
    """What is looked for; exactly one."""

    target: TargetGoal | None = None
    minimise: ExtremeGoal | None = None
    maximise: ExtremeGoal | None = None
    desirability: DesirabilityGoal | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs that the goal is about."""
        if self.desirability is not None:
            return tuple(self.desirability.outputs)
        chosen = self.target or self.minimise or self.maximise
        assert chosen is not None  # held by the loader
        return (chosen.output,)


class Initial(Section):
    """How many random conditions every arm starts from, the same for all arms with the same seed."""

    points: int = Field(ge=1, le=500)


class PoolSpec(Section):
    """A pool file."""

    kind: Literal["pool"]
    name: Line
    description: Text = ""
    table: TableFormat = Field(default_factory=TableFormat)
    filter: tuple[Condition, ...] = ()
    failed_when: tuple[Condition, ...] = ()
    inputs: Mapping[Name, InputColumn] = Field(min_length=1, max_length=50)
    outputs: Mapping[Name, OutputColumn] = Field(min_length=1, max_length=20)
    objective: Goals
    replicates: Literal["mean", "median", "first"] = "mean"
    initial: Initial
    budget: int | None = Field(default=None, ge=1, le=100_000)
    seeds: int = Field(default=20, ge=1, le=10_000)
    arms: tuple[Name, ...] = Field(default=("random", "sobol", "forest", "gp_scalar", "gp", "ensemble"), min_length=1)
