"""Whether an experiment was what its recipe says: a pump that did otherwise meanwhile, a reactor out of its band.

An outage that the recovery ladder has healed ends no run, but what is read after it may stem from another recipe than
the one that was set. Such a reading is not scored: the experiment runs again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.config import CampaignConfig
    from orchestrator.rig.devices import HeaterReading
    from orchestrator.rig.rig import Rig


def interruptions(rig: Rig) -> dict[str, int]:
    """How often each pump was found doing something else than it was told, as of its newest reading."""
    return {name: pump.newest.interruptions for name, pump in rig.pumps.items()}


def disturbances(
    rig: Rig, before: Mapping[str, int], heater: HeaterReading | None, temperature_c: float, campaign: CampaignConfig
) -> tuple[str, ...]:
    """What disturbed an experiment since ``before`` (:func:`interruptions`), in words; empty when nothing did.

    A pump that is wanted must be running still, by its newest reading: its bound may end before a measurement does.
    ``heater``: the reading of the measurement's end; it must lie in the campaign's band around ``temperature_c``. None:
    the heater was silent then.
    """
    words = [f"{name} did not run as told" for name, count in interruptions(rig).items() if count > before.get(name, 0)]
    words += [f"{name} had stopped before the end" for name in _standing(rig)]
    band_k = campaign.settle.temperature_band_k
    if heater is None:
        words.append(f"{rig.heater.name} did not say how warm it was")
    elif abs(heater.temperature_c - temperature_c) > band_k:
        words.append(f"{rig.heater.name} at {heater.temperature_c:.1f} °C for {temperature_c:.1f} °C")
    return tuple(words)


def _standing(rig: Rig) -> list[str]:
    """The pumps that should be infusing and are not; one that pauses may be refilling."""
    flows = {} if rig.ordered is None else rig.ordered.flows_ul_min
    found = {name: pump.newest.state for name, pump in rig.pumps.items() if flows.get(name, 0.0) > 0.0}
    return [
        name
        for name, state in found.items()
        if state != "infusing" and not (state == "withdrawing" and rig.config.pump(name).pauses)
    ]
