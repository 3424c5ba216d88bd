"""Look at the whole every so often, and tell people what is wrong and what is over: one process at a time does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg

from ingest.alert_words import Language, Message, message
from ingest.alerts import Rules, digest, follow, told
from ingest.errors import AmrError, StoreUnavailable
from ingest.outage import Outage
from storage import alerts
from storage.database import Database
from storage.health import Health, conditions, look

log = logging.getLogger(__name__)

Teller = Callable[[Message], Awaitable[None]]
"""Brings a message to people; raises an AmrError when it could not."""


async def watch_over(
    database: Database,
    rules: Rules,
    tellers: Sequence[Teller],
    *,
    language: Language = "en",
    every: float = 30.0,
    seen: Callable[[Health], None] = lambda health: None,
) -> None:
    """Until cancelled; `seen` hears of each look. A second process stands by; what could not be told is told later."""
    away = Outage(log)
    while True:
        try:
            async with alerts.watch(database) as conn:
                while conn is not None:
                    health = await look(conn, datetime.now(UTC))
                    away.over("people are told of faults again")
                    seen(health)
                    await _step(conn, health, rules, tellers, language)
                    await asyncio.sleep(every)
        except StoreUnavailable as error:
            away.told("nobody is told of faults while the database is away: %s", error)
        await asyncio.sleep(every)


async def _step(
    conn: psycopg.AsyncConnection[Any], health: Health, rules: Rules, tellers: Sequence[Teller], language: Language
) -> None:
    now = health.at
    standing = follow(await alerts.standing(conn), conditions(health), now, rules)
    await alerts.keep(conn, standing)
    news = digest(standing, now, rules)
    if news and await _tell(message(news, language), tellers):
        await alerts.keep(conn, told(standing, news, now))


async def _tell(said: Message, tellers: Sequence[Teller]) -> bool:
    """True when anybody took it: a second mailbox that is full is no reason to repeat it to the first for ever."""
    log.warning("%s\n%s", said.subject, said.text)
    taken = not tellers
    for teller in tellers:
        try:
            await teller(said)
        except AmrError as error:
            log.error("an alert was not delivered: %s", error)
        else:
            taken = True
    return taken
