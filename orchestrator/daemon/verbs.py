"""What each command means for a rig as it stands: accepted or refused, in words, and what is then done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from orchestrator.campaign.archives import left_out, taken_along
from orchestrator.campaign.header import Overrides
from orchestrator.campaign.steering import Verb, Wish
from orchestrator.daemon.commands import (
    Abort,
    Actor,
    Cancel,
    Clear,
    Command,
    Hold,
    Move,
    Outcome,
    Pause,
    Refill,
    Resume,
    Stop,
    Submit,
)
from orchestrator.daemon.station import Station
from orchestrator.daemon.verdict import Verdict
from orchestrator.errors import LumiflowError
from orchestrator.preflight.findings import preflight


async def carry_out(station: Station, actor: Actor, command: Command) -> Outcome:
    """Decide on a command for this rig, journal it, do it. Raises JournalError; then nothing is done."""
    data = command.model_dump()
    if isinstance(command, Submit):
        try:
            checked = await asyncio.get_running_loop().run_in_executor(None, _checked, station, command)
        except LumiflowError as error:
            refusal = Verdict(False, str(error))
            return await station.enter(actor, data, lambda _: refusal)
        return await station.enter(actor, data, lambda rig: _submit(rig, command, checked))
    before = None
    if isinstance(command, Resume | Stop | Abort):
        first = None if isinstance(command, Resume) else Wish(command.verb, actor.name)
        before = partial(Station.look_again, first=first)
    job = _job(station)
    return await station.enter(actor, data, lambda rig: _decide(rig, actor, command, job), before)


def _decide(rig: Station, actor: Actor, command: Command, before: str | None) -> Verdict:
    """``before``: the campaign that was there before it was looked at anew."""
    if isinstance(command, Resume | Stop | Abort) and before is not None and before in rig.ledger.ended:
        return _came_to_its_end(rig, before)
    match command:
        case Pause():
            return _pause(rig, actor)
        case Resume():
            return _resume(rig, actor)
        case Hold():
            return _hold(rig, actor, command)
        case Stop():
            return _end(rig, actor, "stop")
        case Abort():
            return _give_up(rig, actor) if command.give_up else _end(rig, actor, "abort")
        case Cancel():
            return _cancel(rig, command)
        case Move():
            return _move(rig, command)
        case Clear():
            return _clear(rig)
        case Refill():
            return _refill(rig, command)
        case Submit():
            raise AssertionError("a submission is checked first")


@dataclass(frozen=True)
class _Checked:
    """A submission that can run: the campaign's own name, the stocks that it names for syringes, and what of its
    archives is left out, in words."""

    name: str
    stocks: Mapping[str, str]
    notes: str


def _checked(rig: Station, command: Submit) -> _Checked:
    """Raises LumiflowError for one that cannot run."""
    given = command.overrides
    overrides = Overrides(given.seed, given.target, given.strategy)
    loaded = overrides.applied(rig.place.parsed(command.campaign, command.file))
    preflight(loaded).require()
    found = taken_along(loaded, [archive.model_dump() for archive in command.archives])
    notes = "; ".join(f"{note.path}: {note.message}" for note in left_out(loaded, found))
    return _Checked(loaded.config.name, dict(loaded.config.syringes), notes)


def _submit(rig: Station, command: Submit, checked: _Checked) -> Verdict:
    place = len(rig.ledger.queue) + 1
    if place > rig.place.queue:
        full = f"the queue of {command.rig} is full: {rig.place.queue} campaigns wait"
        return Verdict(False, f"{full}; submit again when one of them has begun, or cancel one")
    job = rig.new_job(checked.name)
    state, detail = rig.standing()
    words = f"{job} is number {place} in the queue of {command.rig}"
    if state not in ("idle", "running"):
        words += f", which is {state}" + (f": {detail}" if detail else "")
    waits = rig.waits_for(checked.stocks)
    if waits:
        words += f"; it {waits}"
    if checked.notes:
        words += f" (note: {checked.notes})"
    return Verdict(True, words, job, {"name": checked.name, "stocks": dict(checked.stocks)}, rig.advance)


def _pause(rig: Station, actor: Actor) -> Verdict:
    state, detail = rig.standing()
    job = _job(rig)
    if state in ("pausing", "paused", "held") and (rig.sits or rig.ledger.waits):
        waits = {} if rig.sits else {"waits": True}
        return Verdict(True, f"is {state} already" + (f" ({detail})" if detail else ""), job, waits)
    if state == "ending":
        return Verdict(False, f"{job} is ending: {detail}", job)
    if state == "running":
        words = f"{job} pauses when its present experiment is finished"
        return Verdict(True, words, job, then=_asking(rig, Wish("pause", actor.name)))
    words = "nothing begins until it is resumed"
    return Verdict(True, words if job is None else f"{job} waits as it is, and {words}", job, {"waits": True})


def _came_to_its_end(rig: Station, job: str) -> Verdict:
    """It had ended, as its journal says now, or there was nothing to be taken up: that has been entered."""
    ended, waits = rig.ledger.ended[job], rig.ledger.waits
    words = f"{job} is over: {ended['detail'] or ended['stop_reason']}"
    return Verdict(True, f"{words}; nothing begins until it is resumed" if waits else words, job, {"waits": waits})


def _resume(rig: Station, actor: Actor) -> Verdict:
    state, detail = rig.standing()
    job = _job(rig)
    if state in ("ending", "tripped", "fault"):
        return Verdict(False, f"cannot go on: {state}" + (f" ({detail})" if detail else ""), job)
    if state == "idle":
        return Verdict(False, "nothing waits to be resumed")
    if state == "running":
        return Verdict(True, f"{job} is running already", job)
    if rig.run is None:
        wanted = rig.wants_a_person()
        if wanted and not rig.ledger.waits:
            return Verdict(False, wanted)
        return Verdict(True, "the queue goes on" + (f"; {wanted}" if wanted else ""), then=rig.advance)
    if rig.sits:
        return Verdict(True, f"{job} goes on", job, then=_asking(rig, Wish("continue", actor.name)))
    if rig.refused:
        return Verdict(False, f"{job} is not taken up: {rig.refused}", job)
    recorded = bool(rig.run.header)
    words = f"{job} is taken up where it was interrupted" if recorded else f"{job} begins: nothing of it is recorded"
    return Verdict(True, words, job, then=partial(rig.take_up, None))


def _hold(rig: Station, actor: Actor, command: Hold) -> Verdict:
    state, detail = rig.standing()
    job = _job(rig)
    if not rig.sits:
        return Verdict(False, "nothing runs that could be held", job)
    if state in ("paused", "held"):
        return Verdict(True, f"is {state} already: the pumps stand", job)
    if state == "ending":
        return Verdict(False, f"{job} is ending: {detail}", job)
    kept = "the heater kept" if command.keep_temperature else "the heater off"
    wish = Wish("hold", actor.name, command.keep_temperature)
    return Verdict(True, f"{job} is held now, {kept}; its experiment runs again", job, then=_asking(rig, wish))


def _end(rig: Station, actor: Actor, verb: Verb) -> Verdict:
    state, detail = rig.standing()
    job = _job(rig)
    wish = Wish(verb, actor.name)
    if job is None:
        waits = len(rig.ledger.queue)
        words = "nothing runs that could be ended" + (f" ({state})" if state != "idle" else "")
        return Verdict(False, f"{words}; {waits} in the queue stay there: cancel takes one out" if waits else words)
    if not rig.sits:
        if state in ("tripped", "fault"):
            return Verdict(False, f"cannot take {job} up to end it: {state} ({detail})", job)
        if rig.refused:
            return Verdict(False, f"{job} is not taken up: {rig.refused}", job)
        return Verdict(True, f"{job} is taken up only to be ended", job, then=partial(rig.take_up, wish))
    if state == "ending" and verb == "stop":
        return Verdict(True, f"{job} is ending already: {detail}", job)
    words = (
        f"{job} ends when its present experiment is finished" if verb == "stop" else f"{job} ends now, without flushes"
    )
    return Verdict(True, words, job, then=_asking(rig, wish))


def _give_up(rig: Station, actor: Actor) -> Verdict:
    job = _job(rig)
    if not rig.unread:
        return Verdict(False, "only a campaign whose journal cannot be read is given up: stop or abort any other", job)
    words = f"{job} is given up; every syringe counts as empty until it is refilled, and nothing begins until then"
    return Verdict(True, words, job, then=partial(rig.give_up, actor.name))


def _cancel(rig: Station, command: Cancel) -> Verdict:
    if rig.ledger.queued(command.job) is None:
        return _not_queued(rig, command.job)
    return Verdict(True, f"{command.job} is out of the queue", command.job, then=rig.advance)


def _move(rig: Station, command: Move) -> Verdict:
    if rig.ledger.queued(command.job) is None:
        return _not_queued(rig, command.job)
    place = min(command.place, len(rig.ledger.queue))
    return Verdict(True, f"{command.job} is number {place} now", command.job, then=rig.advance)


def _clear(rig: Station) -> Verdict:
    trip = rig.ledger.trip
    if trip is None:
        return Verdict(False, "no interlock has tripped")
    if rig.sits:
        return Verdict(False, "the campaign is still being brought to its safe end", _job(rig))
    more = {} if rig.run is None or rig.unread else {"trips": len(rig.run.trips)}
    return Verdict(True, f"{trip['interlock']} on {trip['device']} is cleared", more=more, then=rig.clear_bench)


def _refill(rig: Station, command: Refill) -> Verdict:
    pump = rig.place.rig.pumps.get(command.pump)
    if pump is None:
        return Verdict(False, f"{command.rig} has no pump {command.pump}: it has {', '.join(rig.place.rig.pumps)}")
    full_ul = pump.holds_ul
    volume_ul = full_ul if command.volume_ul is None else command.volume_ul
    if volume_ul > full_ul:
        return Verdict(False, f"the syringe of {command.pump} takes {full_ul:g} µL at the most, not {volume_ul:g}")
    if rig.present is not None:
        return Verdict(False, f"{_job(rig)} counts on what the syringes held when it began: refill when it has ended")
    stocks = rig.place.rig.stocks
    if command.stock is not None and command.stock not in stocks:
        return Verdict(False, f"{command.rig} has no stock {command.stock}: it has {', '.join(stocks)}")
    stock = command.stock or rig.holds(command.pump)
    if stock not in stocks:
        said = f"{command.pump} held {stock}, which {command.rig} has no more: say what it holds now"
        return Verdict(False, f"{said} (stock, one of {', '.join(stocks)})")
    words = f"the syringe of {command.pump} holds {volume_ul:g} µL of {stock}"
    return Verdict(True, words, more={"missing_ul": full_ul - volume_ul}, then=rig.advance)


def _not_queued(rig: Station, job: str) -> Verdict:
    if _job(rig) == job:
        return Verdict(False, f"{job} has begun: stop or abort it", job)
    if job in rig.ledger.jobs:
        return Verdict(False, f"{job} is over", job)
    return Verdict(False, f"there is no {job} in the queue")


def _job(rig: Station) -> str | None:
    return None if rig.present is None else rig.present.job


def _asking(rig: Station, wish: Wish) -> Callable[[], Awaitable[None]]:
    async def ask() -> None:
        rig.wish(wish)

    return ask
