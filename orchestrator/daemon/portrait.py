"""A rig as the interfaces show it, put together from what its station knows."""

from __future__ import annotations

from orchestrator.campaign.standing import bests
from orchestrator.clock.virtual_time import UtcClock
from orchestrator.daemon.facade import (
    ExperimentState,
    JobState,
    Quality,
    ReadingState,
    RigState,
    SyringeState,
    TripState,
)
from orchestrator.daemon.station import Station
from orchestrator.daemon.telemetry import Reading
from orchestrator.history.run_state import RunState, added

FRESH_S = 15.0
"""A device that has said nothing for longer is stale: heaters, pressure and pumps are asked at least each ten seconds.
The others are asked when something is wanted of them, and are stale in between."""


def rig_state(station: Station, clock: UtcClock) -> RigState:
    """The rig now. ``clock``: the daemon's own."""
    place, ledger, run, job = station.place, station.ledger, station.run, station.present
    state, detail = station.standing()
    best = None if run is None else bests(run)(run.target)
    error = None if run is None or best is None or run.target_ev is None else best.error_ev(run.target_ev)
    trip = ledger.trip
    return RigState(
        state=state,
        detail=detail,
        mode="hardware" if place.hardware else "twin",
        job=None if job is None else job.job,
        campaign=None if job is None else job.campaign,
        experiment=None if run is None else _experiment(run, station.stage),
        told=0 if run is None else len(run.told),
        best_error_mev=None if error is None else 1e3 * error,
        trip=None
        if trip is None
        else TripState(
            interlock=str(trip["interlock"]),
            device=str(trip["device"]),
            value=trip["value"],
            limit=trip["limit"],
            unit=str(trip["unit"]),
            utc=str(trip["utc"]),
        ),
        devices=_devices(station, clock),
        syringes=_syringes(station, run),
        queue=tuple(
            JobState(
                job=entry.job,
                campaign=entry.campaign,
                place=place_,
                submitted_utc=entry.submitted_utc,
                by=entry.by,
            )
            for place_, entry in enumerate(ledger.queue, 1)
        ),
        t_s=None if run is None else run.last_s,
    )


def _experiment(run: RunState, stage: str) -> ExperimentState | None:
    present = run.experiments[-1] if run.experiments else None
    if present is None or present.told or present.refused is not None or run.ended:
        return None
    recipe = {name: float(value) for name, value in present.recipe.items()}
    return ExperimentState(n=present.n, stage=stage, recipe=recipe, attempts=present.attempts)


def _devices(station: Station, clock: UtcClock) -> dict[str, ReadingState]:
    readings = station.readings
    newest_s = max((reading.t_s for reading in readings.values()), default=0.0)
    states: dict[str, ReadingState] = {}
    for name in station.place.rig.devices:
        reading = readings.get(name)
        if reading is None:
            states[name] = ReadingState(values={}, t_s=None, utc=None, age_s=None, quality="none")
            continue
        # Twins have no clock but their own: their readings age against the newest of them.
        age_s = max(_age_on_wall_s(reading, clock) if station.place.hardware else newest_s - reading.t_s, 0.0)
        fresh: Quality = "good" if age_s <= FRESH_S and (station.place.hardware or station.sits) else "stale"
        states[name] = ReadingState(
            values=dict(reading.values), t_s=reading.t_s, utc=reading.utc, age_s=age_s, quality=fresh
        )
    return states


def _age_on_wall_s(reading: Reading, clock: UtcClock) -> float:
    from datetime import datetime

    return (clock.utc() - datetime.fromisoformat(reading.utc)).total_seconds()


def _syringes(station: Station, run: RunState | None) -> dict[str, SyringeState]:
    missing = station.ledger.missing_ul
    spent = {} if run is None else run.spent_ul if station.sits else run.drawn_ul
    gone = added(missing, spent)
    states: dict[str, SyringeState] = {}
    for name, pump in station.place.rig.pumps.items():
        full_ul = pump.holds_ul
        stock = station.holds(name)
        if run is not None:
            stock = str(run.header.get("stocks", {}).get(name, {}).get("stock", stock))
        left_ul = None if station.unread else max(full_ul - gone.get(name, 0.0), 0.0)
        states[name] = SyringeState(stock=stock, volume_ul=full_ul, left_ul=left_ul)
    return states
