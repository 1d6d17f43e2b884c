"""Routes to what has been: runs, their events, spectra and reports, all from their journals."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel

from orchestrator.daemon.facade import RunDetail, RunInfo
from orchestrator.daemon.http.api import TheApi, answer
from orchestrator.daemon.http.errors import COMMON, WITH_BODY, ApiError, declared
from orchestrator.daemon.http.pages import read_blob, read_page
from orchestrator.daemon.http.replaying import replayed
from orchestrator.journal.store import Event

router = APIRouter(prefix="/api/runs", tags=["runs"])

RunId = Annotated[str, Path(pattern=r"^\w[\w.-]{0,119}$", description="As the list of runs gives it.")]
Address = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256, as events give it.")]
FROM_JOURNAL = declared(*COMMON, 409)
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox allow-scripts"
)


class Runs(BaseModel):
    """Runs and queued campaigns, newest first."""

    runs: tuple[RunInfo, ...]


class EventBody(BaseModel):
    """One record of a journal. `calls`: the device calls since the record before, if they were asked for."""

    seq: int
    utc: str
    t_s: float
    kind: str
    data: dict[str, Any]
    calls: list[dict[str, Any]] | None
    hash: str


class EventPage(BaseModel):
    """Records in order. `next_after`: what to ask for next, None at the end of what there is now."""

    events: list[EventBody]
    last_seq: int
    next_after: int | None


class Spectrum(BaseModel):
    """What the spectrometer saw of one experiment: raw counts of shape (repeats, pixels), before any correction."""

    n: int
    wavelength_nm: list[float] | None
    counts: list[list[float]]
    dark: list[float] | None
    integration_s: float


class Decision(BaseModel):
    """One decision of the planner, then and now; `what`: a proposal (of experiment `n`) or the recommendation."""

    what: str
    n: int | None
    agrees: bool
    recorded: dict[str, float]
    recomputed: dict[str, float] | None


class Look(BaseModel):
    """A temperature or a pressure of event `seq` that the replay saw a look earlier or later, then and now."""

    seq: int
    where: str
    then: float
    now: float


class Replayed(BaseModel):
    """`same`: every event came again and every decision was the same. `divergence`: where it went another way. `apart`:
    what a replay of a hardware run saw a look earlier or later."""

    same: bool
    events: int
    recorded: int
    divergence: str | None
    apart: list[Look]
    decisions: list[Decision]


@router.get("", response_model=Runs, responses=declared(*COMMON))
async def runs(api: TheApi) -> Response:
    """Every run and every queued campaign, newest first."""
    return answer(Runs(runs=await api.conductor.runs()))


@router.get("/{run}", response_model=RunDetail, responses=FROM_JOURNAL)
async def run_detail(api: TheApi, run: RunId) -> Response:
    """One run: its experiments, what it recommends, its trips."""
    return answer(await api.conductor.run(run))


@router.get("/{run}/events", response_model=EventPage, responses=FROM_JOURNAL)
async def run_events(
    api: TheApi,
    run: RunId,
    after: Annotated[int, Query(ge=0, le=2**53, description="Records after this number.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    kind: Annotated[str | None, Query(pattern=r"^[a-z_]{1,40}$", description="Only records of this kind.")] = None,
    calls: Annotated[bool, Query(description="With the device calls.")] = False,
) -> Response:
    """The records of a run, a page at a time, also while it is being written."""
    path = api.conductor.journal_path(run)
    page = await asyncio.to_thread(partial(read_page, path, after=after, limit=limit, kind=kind))
    more = len(page.events) == limit and page.events[-1].seq < page.last_seq
    bodies = [_body(event, with_calls=calls) for event in page.events]
    return answer(EventPage(events=bodies, last_seq=page.last_seq, next_after=page.events[-1].seq if more else None))


@router.get(
    "/{run}/blobs/{address}",
    response_class=Response,
    responses={
        **FROM_JOURNAL,
        200: {
            "description": "The bytes as the journal keeps them, little endian: counts float32, wavelengths float64.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
    },
)
async def run_blob(api: TheApi, run: RunId, address: Address) -> Response:
    """The bytes that a record refers to."""
    data = await asyncio.to_thread(read_blob, api.conductor.journal_path(run), address)
    if data is None:
        raise ApiError(404, "UnknownBlob", f"the run {run} keeps nothing under {address}")
    return Response(data, media_type="application/octet-stream")


@router.get("/{run}/experiments/{n}/spectrum", response_model=Spectrum, responses=FROM_JOURNAL)
async def run_spectrum(api: TheApi, run: RunId, n: Annotated[int, Path(ge=0, le=2**31)]) -> Response:
    """What the spectrometer saw of one experiment."""
    spectrum = await api.heavy(partial(_spectrum, api.conductor.journal_path(run), n))
    if spectrum is None:
        raise ApiError(404, "UnknownExperiment", f"the run {run} has measured no experiment {n}")
    return answer(spectrum)


@router.get(
    "/{run}/report",
    response_class=Response,
    responses={
        **FROM_JOURNAL,
        200: {
            "description": "A page with everything in it.",
            "content": {"text/html": {"schema": {"type": "string"}}},
        },
    },
)
async def run_report(api: TheApi, run: RunId) -> Response:
    """The run's report, as it stands now."""
    from orchestrator.report import render_report

    path = api.conductor.journal_path(run)
    async with api.turn():
        explained = await api.explanations.of(path)
        text = await asyncio.to_thread(render_report, path, explained)
    headers = {"content-security-policy": REPORT_POLICY}
    return Response(text, media_type="text/html", headers=headers)


@router.post("/{run}/replay", responses=declared(*COMMON, *WITH_BODY, 409))
async def run_replay(api: TheApi, run: RunId) -> Replayed:
    """Run it again with its devices answering from the record, and compare every decision. May take minutes."""
    path = api.conductor.journal_path(run)
    if api.replaying.locked():
        raise ApiError(503, "Busy", "a replay is under way; one at a time", {"retry-after": "30"})
    async with api.replaying:
        return Replayed.model_validate(await replayed(path))


def _body(event: Event, *, with_calls: bool) -> EventBody:
    return EventBody(
        seq=event.seq,
        utc=event.utc,
        t_s=event.t_s,
        kind=event.kind,
        data=event.data,
        calls=list(event.calls) if with_calls else None,
        hash=event.hash,
    )


def _spectrum(path: FilePath, n: int) -> Spectrum | None:
    measured = [event.data for event in _all_of(path, "measured") if event.data.get("n") == n]
    if not measured:
        return None
    data = measured[-1]
    blanks = [event.data for event in _all_of(path, "blank_taken")]
    return Spectrum(
        n=n,
        wavelength_nm=_numbers(path, blanks[-1].get("wavelengths") if blanks else None, "<f8"),
        counts=[found for address in data["spectra"] if (found := _numbers(path, address, "<f4")) is not None],
        dark=_numbers(path, data.get("dark"), "<f4"),
        integration_s=data["integration_s"],
    )


def _all_of(path: FilePath, kind: str) -> list[Event]:
    found: list[Event] = []
    while page := read_page(path, after=found[-1].seq if found else 0, limit=1000, kind=kind).events:
        found += page
    return found


def _numbers(path: FilePath, address: str | None, layout: str) -> list[float] | None:
    from orchestrator.rig.devices import decode_array

    data = None if address is None else read_blob(path, address)
    return None if data is None else [float(value) for value in decode_array(data, layout)]
