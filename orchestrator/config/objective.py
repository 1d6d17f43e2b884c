"""The part of a campaign file that says what is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from orchestrator import units
from orchestrator.config.in_wavelength import in_energy
from orchestrator.config.quantities import Energy, EnergyDifference, Fraction, Line, LineDifference, Quantity, Section

if TYPE_CHECKING:
    from orchestrator.spectra.shape import TargetSpectrum

MOST_TEXT = 600_000
"""Characters of a target spectrum: some ten thousand points."""

Weight = Annotated[float, Field(ge=0.0, le=100.0)]
PositiveWeight = Annotated[float, Field(gt=0.0, le=100.0)]
Exponent = Annotated[float, Field(gt=0.0, le=20.0)]


class PeakTarget(Section):
    """Where the emission shall peak, as photon energy or wavelength, and how close counts as there.

    With a detector of absorption it is the absorption that shall peak there.
    """

    target_ev: Energy
    tolerance_ev: LineDifference


class FurtherTarget(Section):
    """A target to work off after the first, with the first one's tolerance if it has none of its own."""

    target_ev: Energy
    tolerance_ev: LineDifference | None = None


class FwhmTerm(Section):
    """How much a narrow line is worth, and the width at which half of that is lost."""

    weight: Weight = 0.25
    scale_ev: LineDifference = 0.1


class YieldTerm(Section):
    """How much a bright emission is worth."""

    weight: Weight = 0.25


class PeakDesirability(Section):
    """How desirable a peak is: fully on the target, and not at all from ``none_beyond_ev`` away on."""

    none_beyond_ev: LineDifference
    weight: PositiveWeight = 1.0
    exponent: Exponent = 1.0


class FwhmDesirability(Section):
    """How desirable a width is: fully at ``full_at_ev`` and below, not at all at ``none_at_ev`` and above."""

    full_at_ev: LineDifference
    none_at_ev: LineDifference
    weight: PositiveWeight = 1.0
    exponent: Exponent = 1.0


class YieldDesirability(Section):
    """How desirable a yield is: fully at ``full_at`` and above, not at all at ``none_at`` and below."""

    full_at: Fraction
    none_at: Fraction
    weight: PositiveWeight = 1.0
    exponent: Exponent = 1.0


class DesirabilityConfig(Section):
    """Peak, width and yield as desirabilities between 0 and 1, put together in their weighted geometric mean.

    ``enough``: the mean that, with the peak inside the tolerance, counts as reached.
    """

    peak: PeakDesirability
    fwhm: FwhmDesirability | None = None
    quantum_yield: YieldDesirability | None = Field(default=None, alias="yield")
    enough: Annotated[float, Quantity(units.FRACTION, gt=0.0, le=1.0)]


Patience = Annotated[int, Field(ge=1, le=1000)]


class FwhmStep(Section):
    """A width at most so large; or, without a bound, as small as possible.

    That is when in ``patience`` experiments none bettered the narrowest by ``improvement_ev``.
    """

    kind: Literal["fwhm"]
    at_most_ev: LineDifference | None = None
    patience: Patience = 8
    improvement_ev: LineDifference = 0.005


class YieldStep(Section):
    """A yield at least so high; or, without a bound, as high as possible.

    That is when in ``patience`` experiments none bettered the brightest by ``improvement``.
    """

    kind: Literal["yield"]
    at_least: Annotated[float, Quantity(units.FRACTION, gt=0.0, le=1.0)] | None = None
    patience: Patience = 8
    improvement: Fraction = 0.02


OrderStep = Annotated[FwhmStep | YieldStep, Field(discriminator="kind")]


class ShapeTarget(Section):
    """A target spectrum, and by how much its light may be displaced on average to count as there.

    ``file``: beside the campaign file, of two columns (wavelength in nm, photons or counts) or JCAMP-DX. ``text``: the
    two columns themselves. Whoever reads a campaign file puts the file's content into ``text``.
    """

    file: Line | None = None
    text: Annotated[str, Field(min_length=1, max_length=MOST_TEXT)] | None = None
    tolerance_ev: EnergyDifference = 0.005

    @property
    def spectrum(self) -> TargetSpectrum:
        """The target. Raises NoTargetError for a text that is none, and before a file was read."""
        from orchestrator.spectra.shape import NoTargetError, target_of

        if self.text is None:
            raise NoTargetError("the target spectrum was not read")
        return target_of(self.text)


class ObjectiveConfig(Section):
    """What is wanted: the peak first; once it is inside the tolerance, narrow and bright as weighted.

    ``shape``: in place of the peak and of all that counts beside it, the light of a target spectrum.

    ``then``: further targets, worked off one after the other, each to reproduced or to its share of the budget.
    ``desirability`` or ``in_order``, in place of the weights of ``fwhm`` and ``yield``: a mean of desirabilities, or
    what counts after the peak in the order in which it counts.
    """

    peak: PeakTarget | None = None
    shape: ShapeTarget | None = None
    then: tuple[FurtherTarget, ...] = Field(default=(), max_length=50)
    fwhm: FwhmTerm = Field(default_factory=FwhmTerm)
    quantum_yield: YieldTerm = Field(default_factory=YieldTerm, alias="yield")
    desirability: DesirabilityConfig | None = None
    in_order: tuple[OrderStep, ...] | None = Field(default=None, min_length=1, max_length=2)

    @model_validator(mode="before")
    @classmethod
    def _in_energy(cls, said: Any) -> Any:
        return in_energy(said)

    @property
    def aim(self) -> PeakTarget:
        """The first peak that is wanted; that of the target spectrum, with its tolerance, where there is one.

        Raises NoTargetError for an objective that has neither.
        """
        from orchestrator.spectra.shape import NoTargetError

        if self.peak is not None:
            return self.peak
        if self.shape is None:
            raise NoTargetError("the objective has no peak")
        spectrum = self.shape.spectrum
        return PeakTarget.model_construct(target_ev=spectrum.peak_ev, tolerance_ev=self.shape.tolerance_ev)

    @property
    def open_step(self) -> FwhmStep | YieldStep | None:
        """What is to be as small, or as high, as possible at the end of an order; None where all has bounds."""
        last = self.in_order[-1] if self.in_order else None
        return last if last is not None and bound_of(last) is None else None


def bound_of(step: FwhmStep | YieldStep) -> float | None:
    """What a step of an order asks for, in eV or as a fraction."""
    return step.at_most_ev if isinstance(step, FwhmStep) else step.at_least
