"""What a rig's own journal says: its queue, what has begun, what tripped, what is in its syringes. A pure fold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

from orchestrator.errors import JournalError
from orchestrator.history.run_state import added
from orchestrator.journal.store import Event

Data = Mapping[str, Any]
Volumes = Mapping[str, float]


@dataclass(frozen=True)
class Job:
    """One campaign that was submitted. `job`: its name, which is also its run's. `archives`: those that came with it.
    `stocks`: those that it names for syringes, by pump; None where its submission did not say.

    Once it is over, `text` is "" and `archives` are gone.
    """

    job: str
    campaign: str
    file: str
    text: str
    overrides: Mapping[str, Any]
    by: str
    submitted_utc: str
    archives: tuple[Data, ...] = ()
    stocks: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Ledger:
    """A rig as its journal tells it.

    `present`: what has begun and not ended. `missing_ul`: what each syringe lacks of being full, by pump. `stocks`:
    what is in a syringe where that is no longer what the rig file says. `waits`: a person wants nothing to begin.
    `short`: the campaign after which it waits for lack of reagent, and what was lacking; `filled`: the syringes that
    have been filled since.
    `cleared`: the trip of `present` that a person cleared last, with the number of its `trips` where that was known.
    `ended`: job to the data of its end; `cancelled`: jobs taken out of the queue.
    `rescued_utc`, `rescued_mark`: of the newest rescue by the guardian whose flush has been entered, "" before any.
    """

    queue: tuple[Job, ...] = ()
    present: Job | None = None
    jobs: Mapping[str, Job] = field(default_factory=dict)
    ended: Mapping[str, Data] = field(default_factory=dict)
    cancelled: frozenset[str] = frozenset()
    trip: Data | None = None
    missing_ul: Volumes = field(default_factory=dict)
    stocks: Mapping[str, str] = field(default_factory=dict)
    waits: bool = False
    short: str = ""
    filled: frozenset[str] = frozenset()
    cleared: Data | None = None
    boots: int = 0
    rescued_utc: str = ""
    rescued_mark: str = ""

    def queued(self, job: str) -> Job | None:
        """The job of this name if it has not begun."""
        return next((entry for entry in self.queue if entry.job == job), None)


def fold_rig(events: Iterable[Event], ledger: Ledger | None = None) -> Ledger:
    """The ledger after these events. Raises JournalError for one that lacks what its kind must say."""
    return reduce(entered, events, Ledger() if ledger is None else ledger)


def entered(ledger: Ledger, event: Event) -> Ledger:
    """The ledger after one more event. Kinds that are not known are passed over. Raises JournalError as `fold_rig`."""
    handler = _HANDLERS.get(event.kind)
    if handler is None:
        return ledger
    try:
        return handler(ledger, event.data, event.utc)
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise JournalError(f"event {event.seq} ({event.kind}) does not say what it must: {error!r}") from error


def _booted(ledger: Ledger, data: Data, utc: str) -> Ledger:
    return replace(ledger, boots=ledger.boots + 1)


def _command(ledger: Ledger, data: Data, utc: str) -> Ledger:
    if not data["accepted"]:
        return ledger
    command = data["command"]
    verb = _VERBS.get(command["verb"])
    return ledger if verb is None else verb(ledger, {**data, **command}, utc)


def _submit(ledger: Ledger, data: Data, utc: str) -> Ledger:
    job = Job(
        job=data["job"],
        campaign=data["name"],
        file=data["file"],
        text=data["campaign"],
        overrides={name: value for name, value in data["overrides"].items() if value is not None},
        by=data["actor"]["name"],
        submitted_utc=utc,
        archives=tuple(data.get("archives", ())),
        stocks=data.get("stocks"),
    )
    return replace(ledger, queue=(*ledger.queue, job), jobs={**ledger.jobs, job.job: job})


def _cancel(ledger: Ledger, data: Data, utc: str) -> Ledger:
    left = tuple(job for job in ledger.queue if job.job != data["job"])
    return replace(_without_text(ledger, data["job"]), queue=left, cancelled=ledger.cancelled | {data["job"]})


def _move(ledger: Ledger, data: Data, utc: str) -> Ledger:
    moved = next(job for job in ledger.queue if job.job == data["job"])
    others = [job for job in ledger.queue if job is not moved]
    others.insert(min(data["place"] - 1, len(others)), moved)
    return replace(ledger, queue=tuple(others))


def _pause(ledger: Ledger, data: Data, utc: str) -> Ledger:
    return replace(ledger, waits=data.get("waits", ledger.waits or ledger.present is None))


def _resume(ledger: Ledger, data: Data, utc: str) -> Ledger:
    waits = data.get("waits", False)
    return replace(ledger, waits=waits, short=ledger.short if waits else "")


def _clear(ledger: Ledger, data: Data, utc: str) -> Ledger:
    known = {"trips": data["trips"]} if "trips" in data else {}
    return replace(ledger, trip=None, cleared=None if ledger.trip is None else {**ledger.trip, **known})


def _refill(ledger: Ledger, data: Data, utc: str) -> Ledger:
    missing_ul = {**ledger.missing_ul, data["pump"]: data["missing_ul"]}
    filled = replace(ledger, missing_ul=missing_ul, filled=ledger.filled | {data["pump"]})
    return filled if data.get("stock") is None else _with(filled, {data["pump"]: data["stock"]})


def _exchanged(ledger: Ledger, data: Data, utc: str) -> Ledger:
    full = dict.fromkeys(data["stocks"], 0.0)
    filled = replace(ledger, missing_ul={**ledger.missing_ul, **full}, filled=ledger.filled | full.keys())
    return _with(filled, data["stocks"])


def _with(ledger: Ledger, stocks: Mapping[str, str]) -> Ledger:
    return replace(ledger, stocks={**ledger.stocks, **stocks})


def _rescued(ledger: Ledger, data: Data, utc: str) -> Ledger:
    missing_ul = added(ledger.missing_ul, data["infused_ul"])
    return replace(ledger, missing_ul=missing_ul, rescued_utc=data["utc"], rescued_mark=data.get("mark", ""))


def _begun(ledger: Ledger, data: Data, utc: str) -> Ledger:
    job = ledger.jobs[data["job"]]
    queue = tuple(entry for entry in ledger.queue if entry.job != job.job)
    return replace(ledger, queue=queue, present=job, cleared=None)


def _ended(ledger: Ledger, data: Data, utc: str) -> Ledger:
    missing = {name: value for name, value in added(ledger.missing_ul, data["spent_ul"]).items() if value}
    over = _without_text(ledger, data["job"])
    waits = data.get("waits", ledger.waits)
    short = f"{data['job']}: {data['detail']}" if waits and data["stop_reason"] == "reagent" else ""
    ended = {**ledger.ended, data["job"]: data}
    filled: frozenset[str] = frozenset()
    return replace(over, present=None, ended=ended, missing_ul=missing, waits=waits, short=short, filled=filled)


def _without_text(ledger: Ledger, job: str) -> Ledger:
    """The job is over: its text stands in the journals, and a daemon that has had thousands keeps none of them."""
    return replace(ledger, jobs={**ledger.jobs, job: replace(ledger.jobs[job], text="", archives=())})


def _trip(ledger: Ledger, data: Data, utc: str) -> Ledger:
    return ledger if ledger.trip is not None else replace(ledger, trip={**data, "utc": utc})


Handler = Callable[[Ledger, Data, str], Ledger]

_VERBS: dict[str, Handler] = {
    "submit": _submit,
    "cancel": _cancel,
    "move": _move,
    "pause": _pause,
    "resume": _resume,
    "clear": _clear,
    "refill": _refill,
}
_HANDLERS: dict[str, Handler] = {
    "booted": _booted,
    "rescued": _rescued,
    "command": _command,
    "exchanged": _exchanged,
    "begun": _begun,
    "ended": _ended,
    "trip": _trip,
}
