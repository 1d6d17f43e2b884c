"""Routes to what is going on: health, state, commands, the stream of events."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Header, Query, Request, Response
from pydantic import BaseModel

from orchestrator.daemon.commands import Actor, Command, Outcome, RigName
from orchestrator.daemon.facade import DaemonState, RigState
from orchestrator.daemon.feed import TOPICS, Topic
from orchestrator.daemon.http.api import Api, TheApi, answer
from orchestrator.daemon.http.errors import COMMON, WITH_BODY, ApiError, declared
from orchestrator.daemon.http.stream import EventStream, Wanted
from orchestrator.daemon.http.tokens import Token
from orchestrator.errors import JournalError

EVENT_SCHEMA = {
    "type": "object",
    "description": "One event; `data` is JSON, for a topic's events a notice.",
    "properties": {
        "id": {"type": "string", "description": "BOOT:SEQ, for Last-Event-ID."},
        "event": {"enum": [*TOPICS, "hello", "restarted", "gap", "overflow", "bye"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}

open_router = APIRouter(prefix="/api", tags=["live"])
router = APIRouter(prefix="/api", tags=["live"])


class Health(BaseModel):
    """That the server answers; nothing else is said without a token."""

    status: Literal["ok"] = "ok"


@open_router.get("/health", responses=declared(400, 403, 404, 405, 421, 422, 431, 500))
async def health() -> Health:
    """Whether the server answers. Needs no token."""
    return Health()


@router.get("/state", response_model=DaemonState, responses=declared(*COMMON))
async def state(api: TheApi) -> Response:
    """Everything as it stands: rigs, what runs, queues, syringes, devices with their last readings, latched trips."""
    return answer(await api.conductor.state())


@router.get("/rigs/{rig}", response_model=RigState, responses=declared(*COMMON))
async def rig_state(api: TheApi, rig: RigName) -> Response:
    """One rig as it stands."""
    return answer((await _known(api, rig))[rig])


@router.post(
    "/commands",
    response_model=Outcome,
    responses={
        **declared(*COMMON, *WITH_BODY),
        409: {"model": Outcome, "description": "Refused as things stand; `detail` says why. Nothing was done."},
    },
)
async def command(api: TheApi, request: Request, wanted: Annotated[Command, Body()]) -> Response:
    """Ask for something. It is journalled with the name of the token before it is acted on."""
    token = request.state.token
    if not isinstance(token, Token):
        raise TypeError("a command came past the guard")
    try:
        outcome = await api.conductor.command(Actor(token.name, "http"), wanted)
    except JournalError as error:
        raise ApiError(
            503,
            "NotJournalled",
            f"nothing was done, for it cannot be journalled: {error}; mend the cause, then start the daemon anew",
        ) from error
    return answer(outcome, 200 if outcome.accepted else 409)


@router.get(
    "/events",
    response_class=Response,
    responses={
        **declared(*COMMON),
        200: {
            "description": "Server-sent events: `hello`, then one event per notice, named by its topic.",
            "content": {"text/event-stream": {"schema": EVENT_SCHEMA}},
        },
    },
)
async def events(
    api: TheApi,
    topic: Annotated[list[Topic] | None, Query(description="Only these topics; all if not given.")] = None,
    rig: Annotated[list[RigName] | None, Query(description="Only these rigs, and the daemon itself.")] = None,
    after: Annotated[str | None, Query(max_length=200, description="As the header Last-Event-ID.")] = None,
    last_event_id: Annotated[str | None, Header(max_length=200, description="The last id that was seen.")] = None,
) -> Response:
    """Hear what happens, as server-sent events. A client that does not read is dropped."""
    wanted = Wanted(
        topics=None if topic is None else tuple(topic),
        rigs=None if rig is None else tuple(rig),
        after=last_event_id if last_event_id is not None else after,
    )
    await _known(api, *(rig or ()))
    api.open_stream()
    conductor = api.conductor
    return EventStream(conductor.feed, conductor.boot_id, wanted, closing=api.closing, ended=api.close_stream)


async def _known(api: Api, *names: str) -> dict[str, RigState]:
    """All rigs. Raises ApiError for a name that is none's: a stream filtered by it would be silent for ever."""
    rigs = (await api.conductor.state()).rigs
    strange = next((name for name in names if name not in rigs), None)
    if strange is not None:
        raise ApiError(404, "UnknownRig", f"there is no rig {strange!r}; there are {', '.join(sorted(rigs))}")
    return rigs
