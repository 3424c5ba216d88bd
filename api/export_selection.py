"""Which points a file is about: those named, or all that the caller may see, however many."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

from pydantic import Field

from api.access import see
from api.doorkeeper import Caller
from storage import points
from storage.points import Seen

Pages = Callable[[], AbstractAsyncContextManager[Any]]
"""Gives a connection for one page: a slow reader of a file never holds one."""

MOST_NAMED = 100
_PAGE = 500

Named = Annotated[
    list[str],
    Field(
        default_factory=list,
        max_length=MOST_NAMED,
        alias="point",
        description="codes of points; repeat the parameter. Without it: every point you may see",
    ),
]


async def chosen(pages: Pages, caller: Caller, codes: Sequence[str]) -> AsyncIterator[Seen]:
    """The points, in the order named or of their codes. Raises 404 for a named one before it gives any."""
    if codes:
        async with pages() as conn:
            named = [await see(conn, caller, code) for code in dict.fromkeys(codes)]
        for seen in named:
            yield seen
        return
    after, more = "", True
    while more:
        async with pages() as conn:
            listed, more = await points.page(conn, caller.consumer, after=after, limit=_PAGE)
            found = [await _seen(conn, caller, item.point.code) for item in listed]
        for one in found:
            if one is not None:
                yield one
        after = listed[-1].point.code if listed else ""


async def together(found: AsyncIterator[Seen], most: int) -> AsyncIterator[list[Seen]]:
    """The same points in groups of at most `most`, to be asked for with one question."""
    group: list[Seen] = []
    async for seen in found:
        group.append(seen)
        if len(group) == most:
            yield group
            group = []
    if group:
        yield group


async def _seen(conn: Any, caller: Caller, code: str) -> Seen | None:
    return await points.find(conn, code, caller.consumer)
