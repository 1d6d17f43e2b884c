"""A rig from its YAML, on steel or on twins. What twins are made of, only :mod:`orchestrator.twins` knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.config import LoadedCampaign, RigConfig
from orchestrator.history.fold import fold
from orchestrator.history.run_state import added
from orchestrator.rig.assembling import Steel, Wires, assemble, optical_layout
from orchestrator.rig.devices import Tracer
from orchestrator.rig.rig import Rig

if TYPE_CHECKING:
    from drivers import BlockingClock
    from orchestrator.config.campaign import Chemistry
    from orchestrator.journal.journal import Event

__all__ = ["assemble_rig", "build_rig", "optical_layout", "recorded_rig", "steel_rig"]


def build_rig(
    loaded: LoadedCampaign,
    tracer: Tracer,
    *,
    hardware: bool,
    clock: BlockingClock,
    start_s: float,
    history: Sequence[Event] = (),
    missing_ul: Mapping[str, float] | None = None,
) -> Rig:
    """The rig of a campaign, its devices not yet connected.

    ``clock`` and ``start_s`` are the loop's; ``history`` says what earlier sittings have drawn from the syringes, and
    ``missing_ul`` what these had lacked of being full when the campaign began.
    """
    config = loaded.config
    return assemble_rig(
        loaded.rig,
        tracer,
        hardware=hardware,
        clock=clock,
        start_s=start_s,
        seed=config.seed,
        chemistry=config.chemistry,
        syringes=config.syringes,
        spent_ul=added(fold(history).drawn_ul if history else {}, missing_ul or {}),
    )


def assemble_rig(
    rig: RigConfig,
    tracer: Tracer,
    *,
    hardware: bool,
    clock: BlockingClock,
    start_s: float,
    seed: int = 1,
    chemistry: Chemistry | None = None,
    syringes: Mapping[str, str] | None = None,
    spent_ul: Mapping[str, float] | None = None,
) -> Rig:
    """A rig without a campaign, its devices not yet connected.

    ``chemistry`` (the default one if None) and ``syringes`` (the rig file's stocks) are the twins'; ``seed`` is theirs
    and that of the jitter between attempts at a device that is away.
    """
    spent = dict(spent_ul or {})
    wires: Wires
    if hardware:
        wires = Steel(rig)
    else:
        from orchestrator.config.campaign import Chemistry
        from orchestrator.twins import MemoryWires, Setting

        wires = MemoryWires(rig, Setting(chemistry or Chemistry(), syringes or {}, seed, spent), clock, start_s)
    return assemble(rig, tracer, wires, seed=seed, spent_ul=spent)


def steel_rig(rig: RigConfig, tracer: Tracer) -> Rig:
    """The real devices of a rig file, for no campaign, not yet connected."""
    return assemble(rig, tracer, Steel(rig), seed=1, spent_ul={})


def recorded_rig(loaded: LoadedCampaign, tracer: Tracer) -> Rig:
    """The rig of a campaign with nothing behind it: the tracer answers from a record."""
    return assemble(loaded.rig, tracer, None, seed=loaded.config.seed, spent_ul={})
