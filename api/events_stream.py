"""What moved for a cabinet to show: as a list, and as server-sent events that resume where they broke off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.security.utils import get_authorization_scheme_param
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BeforeValidator, Field, WithJsonSchema

from api.access import Asking, see
from api.answers import SAID, json_answer
from api.context import Context, Here
from api.event_schemas import EventKind, EventsPage
from api.events_hub import Listener
from api.fields import Input
from api.language import language_of
from api.problems import Problem
from api.queries import LARGEST, Cursor, Limit, Number, number_cursor, number_position
from api.reading_requests import reading_request_of
from api.request_texts import failure_json, state_text
from api.responses import errors
from api.route import CabinetRoute
from api.texts import Language
from api.validation import fault
from ingest.errors import AmrError
from storage import cabinet_events
from storage.cabinet_events import READING, CabinetEvent

router = APIRouter(tags=["requests"], route_class=CabinetRoute)
LONGEST = 3_600.0
"""Seconds one stream lasts; then the client comes again and goes on where it was."""
FINAL = frozenset({"done", "failed", "refused"})
_RETRY = 3_000
_MOST_MISSED = 1_000


def _last_id(text: object) -> object:
    if text is None or text == "":
        return None
    if not isinstance(text, str) or not (text.isascii() and text.isdigit() and len(text) < 19):
        raise fault("out_of_range", least=0, most=LARGEST)
    return int(text)


LastEventId = Annotated[
    int | None,
    BeforeValidator(_last_id),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": LARGEST}),
    Header(alias="Last-Event-ID", description="The `id` of the last event that came: the stream goes on behind it."),
]


class EventsQuery(Input):
    """Which events, and which page of them."""

    point: str | None = Field(None, min_length=1, max_length=200, description="of this point only")
    kind: EventKind | None = None
    limit: Limit = 100
    cursor: Cursor | None = None


class StreamQuery(Input):
    """Which events."""

    point: str | None = Field(None, min_length=1, max_length=200, description="of this point only")


@router.get(
    "/cabinet/events",
    operation_id="listEvents",
    summary="What moved",
    response_model=EventsPage,
    responses=errors(404),
)
async def list_events(query: Annotated[EventsQuery, Query()], request: Request, here: Here, caller: Asking) -> Response:
    """The states that requests came to, the youngest first: a consumer's own, for staff those of everybody."""
    async with here.page() as conn:
        if query.point is not None:
            await see(conn, caller, query.point)
        found, more = await cabinet_events.page(
            conn,
            consumer=caller.consumer,
            point=query.point,
            kind=query.kind,
            before=number_position(query.cursor),
            limit=query.limit,
        )
    items = [event_json(event, language_of(request)) for event in found]
    return json_answer({"items": items, "next": number_cursor(found[-1].id) if more else None}, headers=SAID)


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that was let in: who listens, for what, in which language, and what is sent before the news.

    `whole` False: more was missed than is sent at once, and the client has to come again for the rest. `single`: it is
    about one request and ends with it.
    """

    here: Context
    listener: Listener
    token: str
    language: Language
    wanted: Callable[[CabinetEvent], bool]
    missed: Sequence[CabinetEvent]
    whole: bool = True
    single: bool = False

    async def events(self) -> AsyncIterator[ServerSentEvent]:
        """What was missed and then what comes, each once; ends with a single request, with the token, with time."""
        yield ServerSentEvent(comment="following", retry=_RETRY)
        last = 0
        async for event in self._all():
            if event.id <= last:
                continue
            last = event.id
            data = orjson.dumps(event_json(event, self.language)).decode()
            yield ServerSentEvent(raw_data=data, event=event.kind, id=str(event.id))
            if self.single and event.state in FINAL:
                return

    async def _all(self) -> AsyncIterator[CabinetEvent]:
        for event in self.missed:
            yield event
        loop = asyncio.get_running_loop()
        end = loop.time() + LONGEST
        while self.whole and not self.listener.over and (left := end - loop.time()) > 0:
            news = await self.listener.next(left)
            if news is not None and self.wanted(news):
                if not await self._admitted():
                    return
                yield news

    async def _admitted(self) -> bool:
        """Whether the token is still in force: a stream outlives the question that opened it."""
        try:
            await self.here.doorkeeper.admit(self.token, header_came=True)
        except (Problem, AmrError):  # without a database nobody can say: the client comes again
            return False
        return True


async def _of_cabinet(
    query: Annotated[StreamQuery, Query()],
    request: Request,
    here: Here,
    caller: Asking,
    last_event_id: LastEventId = None,
) -> AsyncIterator[Stream]:
    async with here.hub.listening(caller.key) as listener:
        async with here.page() as conn:
            if query.point is not None:
                await see(conn, caller, query.point)
            missed = []
            if last_event_id is not None:
                missed = await cabinet_events.after(
                    conn, last_event_id, consumer=caller.consumer, point=query.point, limit=_MOST_MISSED
                )
        yield Stream(
            here,
            listener,
            _token(request),
            language_of(request),
            lambda event: caller.consumer in (None, event.consumer) and query.point in (None, event.point),
            missed,
            whole=len(missed) < _MOST_MISSED,
        )


@router.get(
    "/cabinet/events/stream",
    operation_id="followEvents",
    summary="What moves, as it moves",
    response_class=EventSourceResponse,
    responses=errors(404),
)
async def follow_events(stream: Annotated[Stream, Depends(_of_cabinet)]) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: each has the `id`, the kind as `event` and as `data` the JSON of one item of the list.

    A comment comes every 15 seconds. With `Last-Event-ID` the stream goes on behind that event, without it with what
    comes next. It ends after an hour at most, and when the token is no longer in force: come again with the last id.
    """
    async for event in stream.events():
        yield event


async def _of_reading_request(
    number: Number, request: Request, here: Here, caller: Asking, last_event_id: LastEventId = None
) -> AsyncIterator[Stream]:
    async with here.hub.listening(caller.key) as listener:
        async with here.page() as conn:
            await reading_request_of(conn, caller, number, request)
            every = await cabinet_events.of_request(conn, READING, number)
        newer = [event for event in every if last_event_id is not None and event.id > last_event_id]
        yield Stream(
            here,
            listener,
            _token(request),
            language_of(request),
            lambda event: (event.kind, event.number) == (READING, number),
            newer or every[-1:],
            single=True,
        )


@router.get(
    "/reading-requests/{number}/events",
    operation_id="followReadingRequest",
    summary="How a reading request goes on",
    response_class=EventSourceResponse,
    responses=errors(404),
)
async def follow_reading_request(
    stream: Annotated[Stream, Depends(_of_reading_request)],
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events as those of the cabinet, of one request: its state now, then each it comes to.

    The stream ends when the request is `done` or `failed`: close it then, or the browser opens it again.
    """
    async for event in stream.events():
        yield event


def event_json(event: CabinetEvent, language: Language) -> dict[str, object]:
    """One event, its time on the clock of the point."""
    reading = event.kind == READING
    return {
        "id": event.id,
        "at": event.at if event.zone is None else event.at.astimezone(ZoneInfo(event.zone)),
        "kind": event.kind,
        "number": event.number,
        "point": event.point,
        "state": event.state,
        "text": state_text(event.kind, event.state, language),
        "final": event.state in FINAL,
        "failure": failure_json(event.reason, language) if reading else None,
        "reason": None if reading else event.reason,
    }


def _token(request: Request) -> str:
    return get_authorization_scheme_param(request.headers.get("authorization"))[1]
