"""Rows of exported consumption: the amounts that the API answers, point by point."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from api.amounts import each
from api.consumption import ConsumptionQuery, consumption_of
from api.doorkeeper import Caller
from api.export_cells import Cell, Column
from api.export_selection import Pages, chosen
from api.problems import Problem
from api.texts import Text
from ingest.consumption import Policy

COLUMNS = (
    Column(Text("point", "точка учёта"), 18),
    Column(Text("name", "название"), 24),
    Column(Text("channel", "канал"), 9),
    Column(Text("from", "с"), 27),
    Column(Text("to", "по"), 27),
    Column(Text("amount", "расход"), 14),
    Column(Text("unit", "единица"), 9),
    Column(Text("quality", "достоверность"), 14),
    Column(Text("completeness", "полнота"), 10),
    Column(Text("ratio", "коэффициент K"), 12),
    Column(Text("reasons", "пояснения"), 20),
    Column(Text("begin value", "показание в начале"), 14),
    Column(Text("end value", "показание в конце"), 14),
    Column(Text("meters", "приборы учёта"), 18),
)


async def consumption_rows(
    pages: Pages,
    caller: Caller,
    codes: Sequence[str],
    query: ConsumptionQuery,
    most: int,
    now: datetime,
    policy: Policy,
) -> AsyncIterator[list[list[Cell]]]:
    """One batch a point, at most `most` intervals each. Raises 404 and 422 before the first batch.

    Of several points those without the channel have no rows; of one point it is the 422 that names the channels.
    """
    alone = len(set(codes)) == 1
    async for seen in chosen(pages, caller, codes):
        try:
            async with pages() as conn:
                found = await consumption_of(conn, caller, seen.point.code, query, most, now, policy, each)
        except Problem as problem:
            if alone or not _other_channels(problem):
                raise
            continue
        yield [_row(seen.point.code, seen.point.name, found, item) for item in found["items"]]  # type: ignore[attr-defined]


def _other_channels(problem: Problem) -> bool:
    return [fault.code for fault in problem.faults] == ["unknown_channel"]


def _row(code: str, name: str, found: Mapping[str, Any], item: Mapping[str, Any]) -> list[Cell]:
    return [
        code,
        name,
        found["channel"],
        item["from"],
        item["to"],
        _number(item["amount"]),
        found["unit"],
        item["quality"],
        _number(item["completeness"]),
        " ".join(item["ratios"]),
        " ".join(item["reasons"]),
        _number(item["begin_value"]),
        _number(item["end_value"]),
        " ".join(item["meters"]),
    ]


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
