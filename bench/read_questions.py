"""The questions of the reading side, each asked of our code and, for the same rows, of the database alone."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson
import psycopg

from api.amounts import written
from bench import read_bare
from bench.fleet import ZONE
from bench.load import Loaded
from bench.place import Place
from ingest.amounts import Amount
from ingest.calendar_cuts import Step, cuts
from ingest.consumption import consumption
from storage import history
from storage.several import consumption_of_points
from storage.stretches import stretches

_TZ = ZoneInfo(ZONE)
_DISTRICT = 1000
_DAY = timedelta(days=1)

Question = Callable[[random.Random], Awaitable[object]]


class Asked(NamedTuple):
    """One figure: what it is called, what it must reach, how it is asked of us and of the database alone, how often."""

    name: str
    must: str
    ours: Question
    bare: Question
    samples: int = 200


class Questions:
    """Each method is one question, about a point and a time of its own in every sample.

    Asked as the API asks: by a connection whose statements stand by themselves; "latest of one point" also beside the
    bare statement on the same open connection. Amounts are computed; where the question says so they are also written
    as the API writes them.
    """

    def __init__(self, place: Place, loaded: Loaded, bare: psycopg.AsyncConnection[Any]) -> None:
        self._database = place.database
        self._loaded = loaded
        self._bare = bare
        self._points = place.options.registers // 2
        self._many = place.options.registers // 8  # the points with five registers
        self._district = [f"B{n}" for n in range(1, min(self._points, _DISTRICT) + 1)]
        self._last = loaded.end.astimezone(_TZ).date().replace(day=1)

    def all(self) -> list[Asked]:
        """The reads of the performance table, in its order."""
        many = len(self._district)
        return [
            Asked("latest of one point", "<= 2 x bare, p95 <= 2 ms", self.latest, self.bare_latest, 2000),
            Asked("latest of one point, as a page", "p95 <= 2 ms", self.latest_page, self.bare_latest_page, 2000),
            Asked(f"latest of {many} points", "", self.latest_of_many, self.bare_latest_of_many, 20),
            Asked("year by days, 5 registers", "p95 <= 20 ms", self.year, self.bare_year),
            Asked("year by days, 5 registers, written", "p95 <= 20 ms", self.year_written, self.bare_year),
            Asked("month by half-hours", "p95 <= 20 ms", self.month, self.bare_month),
            Asked("month by half-hours, written", "p95 <= 20 ms", self.month_written, self.bare_month),
            Asked("page of 100 readings", "", self.page, self.bare_page),
            Asked(f"{many} points by months over a year", "<= 500 ms", self.district, self.bare_district, 10),
        ]

    async def latest(self, dice: random.Random) -> object:
        return await history.latest(self._bare, self._rich(dice), until=self._loaded.end)

    async def latest_page(self, dice: random.Random) -> object:
        async with self._page() as conn:
            return await history.latest(conn, self._rich(dice), until=self._loaded.end)

    async def bare_latest_page(self, dice: random.Random) -> object:
        async with self._page() as conn:
            asked = {"points": [self._rich(dice)], **self._near()}
            return await (await conn.execute(read_bare.LATEST.encode(), asked, binary=True)).fetchall()

    async def bare_latest(self, dice: random.Random) -> object:
        return await self._ask(read_bare.LATEST, points=[self._rich(dice)], **self._near())

    async def latest_of_many(self, _: random.Random) -> object:
        async with self._page() as conn:
            return await history.latest_of(conn, self._district, until=self._loaded.end)

    async def bare_latest_of_many(self, _: random.Random) -> object:
        return await self._ask(read_bare.LATEST, points=self._district, **self._near())

    async def year(self, dice: random.Random) -> Sequence[Sequence[Amount]]:
        edges = self._year(dice)
        async with self._page() as conn:
            found = await stretches(conn, self._rich(dice), None, edges)
        return [consumption(found[channel], edges) for channel in read_bare.CHANNELS]

    async def year_written(self, dice: random.Random) -> object:
        return orjson.dumps([written(amounts, _TZ) for amounts in await self.year(dice)])

    async def bare_year(self, dice: random.Random) -> object:
        return await self._midnights([self._rich(dice)], read_bare.CHANNELS, self._year(dice))

    async def month(self, dice: random.Random) -> Sequence[Amount]:
        edges = self._month(dice)
        async with self._page() as conn:
            found = await stretches(conn, self._any(dice), ["1.8.0"], edges)
        return consumption(found["1.8.0"], edges)

    async def month_written(self, dice: random.Random) -> object:
        return orjson.dumps(written(await self.month(dice), _TZ))

    async def bare_month(self, dice: random.Random) -> object:
        edges = self._month(dice)
        return await self._ask(read_bare.RANGE, point=self._any(dice), since=edges[0], until=edges[-1], limit=None)

    async def page(self, dice: random.Random) -> object:
        edges = self._month(dice)
        async with self._page() as conn:
            return await history.page(
                conn, self._any(dice), channel="1.8.0", since=edges[0], until=edges[-1], limit=100, after=None
            )

    async def bare_page(self, dice: random.Random) -> object:
        edges = self._month(dice)
        return await self._ask(read_bare.RANGE, point=self._any(dice), since=edges[0], until=edges[-1], limit=101)

    async def district(self, _: random.Random) -> object:
        async with self._page() as conn:
            year_ago = _before(self._last, 12)
            return await consumption_of_points(conn, self._district, "1.8.0", year_ago, self._last, Step.MONTH)

    async def bare_district(self, _: random.Random) -> object:
        edges = cuts(_at(_before(self._last, 12)), _at(self._last), Step.MONTH, _TZ)
        return await self._midnights(self._district, ["1.8.0"], edges)

    @asynccontextmanager
    async def _page(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """A connection as the API takes one for a page."""
        async with self._database.single() as conn:
            yield conn

    async def _ask(self, statement: str, **asked: object) -> object:
        return await (await self._bare.execute(statement.encode(), asked, binary=True)).fetchall()

    async def _midnights(self, points: Sequence[str], channels: Sequence[str], edges: Sequence[datetime]) -> object:
        return await self._ask(
            read_bare.MIDNIGHTS, points=points, channels=channels, cuts=edges, first=edges[0], last=edges[-1]
        )

    def _rich(self, dice: random.Random) -> str:
        return f"B{dice.randint(1, self._many)}"

    def _any(self, dice: random.Random) -> str:
        return f"B{dice.randint(1, self._points)}"

    def _near(self) -> dict[str, datetime]:
        return {"since": self._loaded.end - 2 * _DAY, "until": self._loaded.end + _DAY}

    def _year(self, dice: random.Random) -> Sequence[datetime]:
        """The cuts of a year of days (or of what there is) that ends at some midnight of the history."""
        begin, end = (at.astimezone(_TZ).date() for at in (self._loaded.begin, self._loaded.end))
        length = min(365, (end - begin).days - 3)
        last = end - _DAY - dice.randint(0, (end - begin).days - 3 - length) * _DAY
        return cuts(_at(last - length * _DAY), _at(last), Step.DAY, _TZ)

    def _month(self, dice: random.Random) -> Sequence[datetime]:
        """The cuts of a calendar month of half-hours, some time in the history."""
        count = max(1, (self._loaded.end - self._loaded.begin).days // 31 - 1)
        end = _before(self._last, dice.randrange(count))
        return cuts(_at(_before(end, 1)), _at(end), Step.HALF_HOUR, _TZ)


def _before(first: date, months: int) -> date:
    number = first.year * 12 + first.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)


def _at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=_TZ).astimezone(UTC)
