"""The amount of one interval from what each stretch in it says, each multiplied by its K. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from ingest.amounts import WHOLE, Amount
from ingest.channel import from_micro
from ingest.model import Quality
from ingest.places import Part
from ingest.stretch import Stretch

_SHARE = Decimal("0.0001")
_ONE = Decimal(1)


class Share(NamedTuple):
    """What one stretch says of one interval, of which it covers `covered` microseconds.

    `whole`: the part shows the one register of the stretch at both ends of its share. `silent`: no reading at all is
    known of one of the counters.
    """

    stretch: Stretch
    covered: int
    part: Part | None
    whole: bool
    silent: bool


def amount_of(begin: datetime, end: datetime, length: int, shares: Sequence[Share], unit: str) -> Amount:
    """The amount of [begin, end), `length` microseconds long, from what each stretch says of it, oldest first."""
    if len(shares) == 1 and (found := shares[0].part) is not None and found.grounds and found.measured == length:
        return _measured(begin, end, shares[0].stretch, found, unit, whole=shares[0].whole)
    known: list[Share] = []
    measured, total, quality = 0, Decimal(0), Quality.GOOD
    for share in shares:
        found = share.part
        if found is None:
            continue
        if found.quality > quality:
            quality = found.quality
        if found.grounds:
            known.append(share)
            ratio = share.stretch.ratio
            total += found.moved if ratio == _ONE else found.moved * ratio
            measured += found.measured
    complete = WHOLE if measured == length else (Decimal(measured) / length).quantize(_SHARE, rounding="ROUND_DOWN")
    reasons = _reasons(length, shares, known)
    if not known:
        return Amount(begin, end, None, Quality.MISSING, complete, reasons=reasons, unit=unit)
    opens, closes = known[0], known[-1]
    standing = [share.stretch for share in known]
    return Amount(
        begin,
        end,
        total.scaleb(-6),
        quality,
        complete,
        (standing[0].ratio,) if len(known) == 1 else tuple(dict.fromkeys(one.ratio for one in standing)),
        reasons,
        _shown(opens.part.begin) if opens is shares[0] and opens.whole and opens.part else None,
        _shown(closes.part.end) if closes is shares[-1] and closes.whole and closes.part else None,
        (standing[0].meter,) if len(known) == 1 else tuple(dict.fromkeys(one.meter for one in standing)),
        unit,
    )


def _measured(begin: datetime, end: datetime, stretch: Stretch, part: Part, unit: str, *, whole: bool) -> Amount:
    """What nearly every amount is: one meter, measured from end to end."""
    ratio = stretch.ratio
    return Amount(
        begin,
        end,
        (Decimal(part.moved) if ratio == _ONE else part.moved * ratio).scaleb(-6),
        part.quality,
        WHOLE,
        (ratio,),
        tuple(sorted(part.reasons)) if len(part.reasons) > 1 else part.reasons,
        _shown(part.begin) if whole else None,
        _shown(part.end) if whole else None,
        (stretch.meter,),
        unit,
    )


@lru_cache(maxsize=1024)
def _shown(micro: int | None) -> Decimal | None:
    """What ends one interval begins the next: remembered for that long."""
    return None if micro is None else from_micro(micro)


def _reasons(length: int, shares: Sequence[Share], known: Sequence[Share]) -> tuple[str, ...]:
    """The codes of all parts, and why there is no more."""
    if len(shares) == 1 and shares[0].part is not None and shares[0].covered == length:
        return tuple(sorted(shares[0].part.reasons))
    reasons = {reason for share in shares if share.part is not None for reason in share.part.reasons}
    reasons |= {"no_readings" if share.silent else "gap" for share in shares if share.part is None}
    if sum(share.covered for share in shares) < length:
        reasons.add("no_meter")
    if len({share.stretch.meter for share in known}) > 1:
        reasons.add("exchange")
    elif len(known) > 1:
        reasons.add("ratio_change")
    return tuple(sorted(reasons))
