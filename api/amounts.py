"""Amounts in answers: one as a dict, and all of a page as the bytes of a JSON array, straight from their columns."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo

import orjson

from api.answers import plain
from ingest.amounts import INTERPOLATED, Amount, Steady, pieces
from ingest.channel import MICRO
from ingest.model import Quality


def amount_json(amount: Amount, zone: ZoneInfo) -> dict[str, object]:
    """One amount; numbers as text."""
    return {
        "from": amount.begin.astimezone(zone),
        "to": amount.end.astimezone(zone),
        "amount": None if amount.amount is None else plain(amount.amount),
        "quality": amount.quality.label,
        "completeness": plain(amount.completeness),
        "ratios": [plain(ratio) for ratio in amount.ratios],
        "reasons": list(amount.reasons),
        "begin_value": None if amount.begin_value is None else plain(amount.begin_value),
        "end_value": None if amount.end_value is None else plain(amount.end_value),
        "meters": list(amount.meters),
    }


def each(amounts: Sequence[Amount], zone: ZoneInfo) -> list[dict[str, object]]:
    """Every amount as a dict."""
    return [amount_json(amount, zone) for amount in amounts]


def written(amounts: Sequence[Amount], zone: ZoneInfo) -> orjson.Fragment:
    """The same as JSON that is not looked at again."""
    found = [
        _steady(piece, zone) if isinstance(piece, Steady) else orjson.dumps(each(piece, zone))[1:-1]
        for piece in pieces(amounts)
    ]
    return orjson.Fragment(b"[%b]" % b",".join(found))


def _steady(amounts: Steady, zone: ZoneInfo) -> bytes:
    """What is the same of every amount is written once, and so is every cut: the end of one, the beginning of the next.

    Whoever changes the shape of an amount does so here and above; `tests/api/test_amounts.py` holds both together.
    """
    times = orjson.dumps([cut.astimezone(zone) for cut in amounts.cuts]).decode()[1:-1].split(",")
    shown = [_text(micro) for micro in amounts.shown]
    middle = [_middle(amounts.ratio, quality) for quality in (Quality.GOOD, Quality.ESTIMATED)]
    tail = f'","meters":{orjson.dumps([amounts.meter]).decode()}}}'
    between, places = amounts.between, range(len(amounts))
    return ",".join(
        [
            f'{{"from":{times[n]},"to":{times[n + 1]},"amount":"{moved}'
            f'{middle[between[n] or between[n + 1]]}{shown[n]}","end_value":"{shown[n + 1]}{tail}'
            for n, moved in zip(places, _moved(amounts), strict=True)
        ]
    ).encode()


def _middle(ratio: Decimal, quality: Quality) -> str:
    reasons = list(INTERPOLATED) if quality is Quality.ESTIMATED else []
    facts = {"quality": quality.label, "completeness": "1", "ratios": [plain(ratio)], "reasons": reasons}
    return f'",{orjson.dumps(facts).decode()[1:-1]},"begin_value":"'


def _moved(amounts: Steady) -> list[str]:
    """Each amount as text: a ratio is a whole number of some decimal place, so all of this is whole numbers."""
    exponent = amounts.ratio.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    factor = int(amounts.ratio.scaleb(max(0, -exponent)))
    places = 6 + max(0, -exponent)
    unit, shown = 10**places, amounts.shown
    found = []
    for n in range(len(amounts)):
        whole, rest = divmod((shown[n + 1] - shown[n]) * factor, unit)
        found.append(f"{whole}.{rest:0{places}d}".rstrip("0") if rest else str(whole))
    return found


def _text(micro: int) -> str:
    """Millionths in base units, without idle zeros behind the point."""
    whole, rest = divmod(micro, MICRO)
    return f"{whole}.{rest:06d}".rstrip("0") if rest else str(whole)
