"""Ranges that are no whole number of steps long: their upper ends are never proposed."""

from __future__ import annotations

from orchestrator.config.inputs import UNITS
from orchestrator.config.load import LoadedCampaign
from orchestrator.errors import Problem


def ends_left_out(loaded: LoadedCampaign) -> list[Problem]:
    """A note for each input whose last step is short of the end of its range."""
    notes = []
    for name, entry in loaded.config.inputs.items():
        said = entry.given
        if not said.step or said.range is None:
            continue
        last = entry.choices[-1]
        if said.range.high - last > 1e-6 * said.step:
            unit = f" {UNITS[entry.kind]}".rstrip()
            message = f"the last step is at {last:g}{unit}: {said.range.high:g}{unit} is never proposed"
            notes.append(loaded.campaign_source.problem(("inputs", name), message, at_key=True, offending=""))
    return notes
