"""What a journal says: pure folds over its events. The state after a restart, the report and the page are all this.

`fold` reads events in order; kinds and keys that it does not know are passed over, so that newer journals can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import reduce
from typing import Any

from orchestrator.errors import JournalError
from orchestrator.history.run_state import Blank, Data, Experiment, Recommendation, RunState, Volumes, added
from orchestrator.journal.store import Event


def fold(events: Iterable[Event], state: RunState | None = None) -> RunState:
    """The state after these events, from the beginning or from an earlier state.

    Raises JournalError for an event that lacks what its kind must say.
    """
    return reduce(advance, events, RunState() if state is None else state)


def advance(state: RunState, event: Event) -> RunState:
    """The state after one more event. Raises JournalError as `fold` does."""
    handler = _HANDLERS.get(event.kind)
    if handler is not None:
        try:
            state = handler(state, event.data, event.t_s)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise JournalError(f"event {event.seq} ({event.kind}) does not say what it must: {error!r}") from error
    return replace(state, last_seq=event.seq, last_s=event.t_s)


def _run_started(state: RunState, data: Data, t_s: float) -> RunState:
    return replace(state, header=data, sittings=1, missing_ul=data.get("missing_ul", {}))


def _resumed(state: RunState, data: Data, t_s: float) -> RunState:
    return replace(
        state,
        sittings=state.sittings + 1,
        earlier_ul=state.reagent_ul,
        counted_ul={},
        debited_ul=added(added(state.debited_ul, state.filling_ul), state.doubted_ul),
        missing_ul=data.get("missing_ul", state.missing_ul),
        filling_ul={},
        doubted_ul={},
        dosed_here=False,
        stop_reason=None,
        stop_detail="",
        safe=None,
        waiting=None,
        recommendations=(),
        ended=False,
    )


def _connected(state: RunState, data: Data, t_s: float) -> RunState:
    return replace(state, devices={str(name): str(identity) for name, identity in data["devices"].items()})


def _filling(state: RunState, data: Data, t_s: float) -> RunState:
    # One that a hold broke off has not been counted yet when the line is filled again.
    return replace(state, filling_ul=added(state.filling_ul, data["expected_ul"]))


def _idle(state: RunState, data: Data, t_s: float) -> RunState:
    return _counted(state, data["reagent_ul"])


def _counted_in_hold(state: RunState, data: Data, t_s: float) -> RunState:
    """The pumps were stopped and asked: what was filled until then, and what an attempt took, is in their count."""
    used = {pump: ul - state.counted_ul.get(pump, 0.0) for pump, ul in data["reagent_ul"].items()}
    broken_off = state.in_doubt()
    if broken_off is not None:
        state = _changed(state, broken_off.n, reagent_ul=added(broken_off.reagent_ul, used))
    counted_out = state.counted_out or state.dosed_here
    return replace(_counted(state, data["reagent_ul"]), filling_ul={}, counted_out=counted_out)


def _blank_taken(state: RunState, data: Data, t_s: float) -> RunState:
    blank = Blank(data["integration_s"], data["dark"], data["blank"], data["wavelengths"])
    if "reagent_ul" in data:
        state = _counted(state, {**state.counted_ul, **data["reagent_ul"]})
    return replace(state, blank=blank, filling_ul={}, reference_s=t_s)


def _reference_checked(state: RunState, data: Data, t_s: float) -> RunState:
    checked = {"outcome": data["outcome"], "shift": float(data["shift"]), "covers": tuple(data["covers"]), "t_s": t_s}
    return replace(state, references=(*state.references, checked), reference_s=t_s)


def _proposed(state: RunState, data: Data, t_s: float) -> RunState:
    experiment = Experiment(
        n=data["n"],
        kind=data["kind"],
        of=data.get("of"),
        recipe=data["recipe"],
        phase=data.get("phase", ""),
        predicted=data.get("predicted") or {},
        probability_feasible=data.get("probability_feasible"),
        acquisition=data.get("acquisition") or "",
        acquisition_value=data.get("acquisition_value"),
        compared=data.get("compared") or 0,
        why=data.get("reason", ""),
        strategy=data.get("strategy", ""),
        proposed_s=t_s,
        cost=data.get("cost"),
        out_of_reach=str((data.get("out_of_reach") or {}).get("reason", "")),
        target=data.get("target", 1),
    )
    return replace(state, experiments=(*state.experiments, experiment))


def _refused(state: RunState, data: Data, t_s: float) -> RunState:
    return _changed(state, data["n"], refused=str(data["reason"]), dosing=False)


def _dosing(state: RunState, data: Data, t_s: float) -> RunState:
    state = replace(state, dosed_here=True, counted_out=False)
    return _changed(
        state,
        data["n"],
        dosing=True,
        attempts=data["attempt"],
        dosed_s=t_s,
        flows_ul_min=data["flows_ul_min"],
        set_temperature_c=data["temperature_c"],
        total_flow_ul_min=data["total_flow_ul_min"],
        residence_time_s=data["residence_time_s"],
        expected_ul=added(data["expected_ul"], data.get("unseen_ul", {})),
    )


def _settled(state: RunState, data: Data, t_s: float) -> RunState:
    looks = data.get("looks_ev", data.get("looks", ()))
    return _changed(state, data["n"], settle_outcome=data["outcome"], settle_s=data["elapsed_s"], looks_ev=tuple(looks))


def _measured(state: RunState, data: Data, t_s: float) -> RunState:
    return _changed(
        state,
        data["n"],
        measured_s=t_s,
        integration_s=data["integration_s"],
        spectra=tuple(data["spectra"]),
        dark=data.get("dark"),
        temperature_c=data.get("temperature_c"),
        pressure_kpa=data.get("pressure_kpa"),
    )


def _analysed(state: RunState, data: Data, t_s: float) -> RunState:
    return _changed(
        state,
        data["n"],
        analysed=True,
        peak_ev=data.get("peak_ev"),
        peak_sd_ev=data.get("peak_sd_ev"),
        fwhm_ev=data.get("fwhm_ev"),
        fwhm_sd_ev=data.get("fwhm_sd_ev"),
        quantum_yield=data.get("quantum_yield"),
        quantum_yield_sd=data.get("quantum_yield_sd"),
        shape=data.get("shape"),
        flags=tuple(data.get("flags", ())),
        accepted=bool(data["accepted"]),
        quality=data.get("reason", ""),
    )


def _told(state: RunState, data: Data, t_s: float) -> RunState:
    used = data.get("reagent_ul", {})
    counted = data.get("counted_ul", added(state.counted_ul, used))
    state = replace(_counted(state, counted), reactor_s=data.get("reactor_s", state.reactor_s))
    used = added(state.experiment(data["n"]).reagent_ul, used)
    return _changed(state, data["n"], told=True, told_s=t_s, failed=bool(data["failed"]), dosing=False, reagent_ul=used)


def _disturbed(state: RunState, data: Data, t_s: float) -> RunState:
    """The attempt is over and counts for nothing but its reagent; the proposal stands and is carried again."""
    used = added(state.experiment(data["n"]).reagent_ul, data["reagent_ul"])
    state = replace(_counted(state, data["counted_ul"]), reactor_s=data.get("reactor_s", state.reactor_s))
    return _changed(state, data["n"], dosing=False, disturbed=tuple(data["by"]), reagent_ul=used)


def _in_doubt(state: RunState, data: Data, t_s: float) -> RunState:
    """The attempt is debited unless it has been counted; while the pumps that drove it still count, until they say."""
    debited = data.get("debited_ul", {})
    if state.dosed_here:
        state = replace(state, doubted_ul=added(state.doubted_ul, debited))
    elif not state.counted_out:
        state = replace(state, debited_ul=added(state.debited_ul, debited))
    return _changed(state, data["n"], dosing=False)


def _trip(state: RunState, data: Data, t_s: float) -> RunState:
    return replace(state, trips=(*state.trips, {**data, "t_s": t_s}))


def _paused(state: RunState, data: Data, t_s: float) -> RunState:
    return replace(state, waiting="paused")


def _held(state: RunState, data: Data, t_s: float) -> RunState:
    return replace(state, waiting="held")


def _continued(state: RunState, data: Data, t_s: float) -> RunState:
    return replace(state, waiting=None)


def _safe_begin(state: RunState, data: Data, t_s: float) -> RunState:
    return replace(state, safe_steps=(), safe=None)


def _safe_step(state: RunState, data: Data, t_s: float) -> RunState:
    return replace(state, safe_steps=(*state.safe_steps, data))


def _safe_done(state: RunState, data: Data, t_s: float) -> RunState:
    """A sitting that is only suspended ends here, with the pumps' last count."""
    return _counted_out(replace(state, safe=bool(data["ok"])), data)


def _stopping(state: RunState, data: Data, t_s: float) -> RunState:
    return replace(state, stop_reason=data["stop_reason"], stop_detail=data.get("detail", ""), waiting=None)


def _recommended(state: RunState, data: Data, t_s: float) -> RunState:
    advice = Recommendation(
        recipe=data["recipe"],
        basis=data.get("basis", ""),
        predicted=data.get("predicted") or {},
        measured=data.get("measured"),
        error_ev=data.get("error_ev"),
        reason=data.get("reason", ""),
        target=data.get("target", 1),
    )
    others = tuple(each for each in state.recommendations if each.target != advice.target)
    return replace(state, recommendations=(*others, advice))


def _target_done(state: RunState, data: Data, t_s: float) -> RunState:
    return replace(state, targets_done=(*state.targets_done, {**data, "t_s": t_s}))


def _ended(state: RunState, data: Data, t_s: float) -> RunState:
    return replace(
        _counted_out(state, data),
        ended=True,
        stop_reason=data["stop_reason"],
        stop_detail=data.get("detail", state.stop_detail),
        reactor_s=data.get("reactor_s", state.reactor_s),
    )


def _counted(state: RunState, counted_ul: Volumes) -> RunState:
    """The pumps' counters since they were connected: attempts that this sitting broke off are in them."""
    return replace(state, counted_ul=counted_ul, doubted_ul={})


def _counted_out(state: RunState, data: Data) -> RunState:
    """The last count of a sitting, where its end says one.

    Of pumps that could not be asked it reckons what was under way, and nothing of attempts before: those stay debited.
    """
    if "reagent_ul" not in data:
        return state
    lost = {name: state.doubted_ul.get(name, 0.0) for name in data.get("uncounted", ())}
    return replace(
        state,
        counted_ul=data["reagent_ul"],
        filling_ul={},
        doubted_ul={},
        debited_ul=added(state.debited_ul, lost) if any(lost.values()) else state.debited_ul,
        counted_out=state.counted_out or state.dosed_here,
    )


def _changed(state: RunState, n: int, **changes: Any) -> RunState:
    if not any(experiment.n == n for experiment in state.experiments):
        raise ValueError(f"experiment {n} was never proposed")
    return replace(state, experiments=tuple(replace(e, **changes) if e.n == n else e for e in state.experiments))


_HANDLERS: Mapping[str, Callable[[RunState, Data, float], RunState]] = {
    "run_started": _run_started,
    "filling": _filling,
    "idle": _idle,
    "counted": _counted_in_hold,
    "resumed": _resumed,
    "connected": _connected,
    "blank_taken": _blank_taken,
    "reference_checked": _reference_checked,
    "proposed": _proposed,
    "refused": _refused,
    "dosing": _dosing,
    "settled": _settled,
    "measured": _measured,
    "analysed": _analysed,
    "told": _told,
    "in_doubt": _in_doubt,
    "disturbed": _disturbed,
    "trip": _trip,
    "paused": _paused,
    "held": _held,
    "continued": _continued,
    "safe_begin": _safe_begin,
    "safe_step": _safe_step,
    "safe_done": _safe_done,
    "stopping": _stopping,
    "recommended": _recommended,
    "target_done": _target_done,
    "ended": _ended,
}
