"""Consumption of a point as Green Button data: an Atom feed of ESPI resources. Pure.

Facts are those of NAESB REQ.21 ESPI as its schema espi.xsd (version 4.0, in
github.com/GreenButtonAlliance/OpenESPI-Common-java) has them. Energies are whole numbers of Wh or varh times a power
of ten, chosen so that every one of them is exact; `start` is seconds since 1970 UTC, `duration` seconds. What has no
amount has no IntervalReading: absence is not zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5
from xml.sax.saxutils import escape, quoteattr
from zoneinfo import ZoneInfo

from ingest.consumption import Amount
from ingest.model import MeteringPoint, Quality

_KILO = 3
_POWERS = (0, -3, -6, -9)
_ELECTRICITY = 0
_SECONDARY_METERED = 1
_DELTA, _NORMAL, _ENERGY, _NO_PHASE, _NO_TIME_ATTRIBUTE = 4, 12, 12, 0, 0
_ACTIVE, _REACTIVE = 72, 73
"""Units: Wh and varh."""

_DIRECTIONS = {"1": 1, "2": 19, "3": 5, "4": 13}
"""By quantity: forward; reverse; reactive of the positive quadrants; of the negative ones."""

_VALID, _ESTIMATED, _QUESTIONABLE = 0, 8, 10
_QUALITIES = {Quality.GOOD: _VALID, Quality.ESTIMATED: _ESTIMATED, Quality.SUSPECT: _QUESTIONABLE}
_SAID = "<espi:ReadingQuality><espi:quality>{}</espi:quality></espi:ReadingQuality>"
_INT48 = 2**47 - 1
_NO_RULE = "00000000"
CLOSING = "</feed>\n"


class Block(NamedTuple):
    """Amounts of one calendar day or month, and the time they cover."""

    begin: datetime
    end: datetime
    amounts: Sequence[Amount]


@dataclass(frozen=True, slots=True)
class Feed:
    """What is told: one channel of one point, in intervals of `step` seconds (None: of varying length)."""

    point: MeteringPoint
    channel: str
    step: int | None
    power: int
    made_at: datetime
    title: str

    @property
    def base(self) -> str:
        """Where the point stands among ESPI's resources; for links within the feed alone."""
        return f"/espi/1_1/resource/UsagePoint/{self.id_of('UsagePoint')}"

    def id_of(self, resource: str) -> str:
        """A UUID that is the same for the same thing in every feed."""
        kind, _, rest = resource.partition("/")
        channel = "" if kind in ("UsagePoint", "LocalTimeParameters") else f"/{self.channel}/{self.step}"
        return str(uuid5(NAMESPACE_URL, f"urn:metering-point:{self.point.code}/{kind}{channel}/{rest}"))


def power_of(amounts: Sequence[Amount]) -> int:
    """The largest power of ten that every amount is a whole number of, in Wh; at least -9."""
    known = [one.amount.scaleb(_KILO) for one in amounts if one.amount is not None]
    return next((power for power in _POWERS if all(_is_whole(energy.scaleb(-power)) for energy in known)), _POWERS[-1])


def opening(feed: Feed, since: datetime, until: datetime) -> str:
    """The feed up to its first block: the point, its clock if that has one offset, the channel and its kind."""
    point, updated = feed.point, _instant(feed.made_at)
    reading, kind = f"{feed.base}/MeterReading/{feed.id_of('MeterReading')}", _type_link(feed)
    clock = _clock(point.tz, since, until)
    links = [f"{feed.base}/MeterReading"] + ([_clock_link(feed)] if clock is not None else [])
    pieces = [
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:espi="http://naesb.org/espi">\n'
        f"<id>urn:uuid:{feed.id_of('Feed')}</id>\n<title>{escape(feed.title)}</title>\n<updated>{updated}</updated>\n"
        f'<link rel="self" href="{feed.base}"/>\n',
        _entry(
            feed,
            "UsagePoint",
            point.name or point.code,
            feed.base,
            links,
            f"<espi:UsagePoint><espi:ServiceCategory><espi:kind>{_ELECTRICITY}</espi:kind></espi:ServiceCategory>"
            "<espi:status>1</espi:status></espi:UsagePoint>",
        ),
    ]
    if clock is not None:
        pieces.append(_entry(feed, "LocalTimeParameters", point.zone, _clock_link(feed), [], clock))
    pieces.append(
        _entry(feed, "MeterReading", feed.channel, reading, [f"{reading}/IntervalBlock", kind], "<espi:MeterReading/>")
    )
    pieces.append(_entry(feed, "ReadingType", feed.channel, kind, [], _reading_type(feed)))
    return "".join(pieces)


def block_xml(feed: Feed, block: Block) -> str:
    """One block; empty for one without any amount."""
    readings = "".join(_reading(feed, amount) for amount in block.amounts if amount.amount is not None)
    if not readings:
        return ""
    name = f"IntervalBlock/{block.begin.timestamp():.0f}"
    link = f"{feed.base}/MeterReading/{feed.id_of('MeterReading')}/IntervalBlock/{feed.id_of(name)}"
    content = f"<espi:IntervalBlock>{_interval('interval', block.begin, block.end)}{readings}</espi:IntervalBlock>"
    return _entry(feed, name, "", link, [], content)


def _entry(feed: Feed, name: str, title: str, link: str, related: Sequence[str], content: str) -> str:
    up = link.rpartition("/")[0]
    links = "".join(f'<link rel="related" href={quoteattr(one)}/>' for one in related)
    updated = _instant(feed.made_at)
    return (
        f"<entry><id>urn:uuid:{feed.id_of(name)}</id><title>{escape(title)}</title>"
        f'<link rel="self" href={quoteattr(link)}/><link rel="up" href={quoteattr(up)}/>{links}'
        f"<published>{updated}</published><updated>{updated}</updated>"
        f'<content type="application/xml">{content}</content></entry>\n'
    )


def _type_link(feed: Feed) -> str:
    return f"/espi/1_1/resource/ReadingType/{feed.id_of('ReadingType')}"


def _clock_link(feed: Feed) -> str:
    return f"/espi/1_1/resource/LocalTimeParameters/{feed.id_of('LocalTimeParameters')}"


def _reading_type(feed: Feed) -> str:
    quantity, _, tariff = feed.channel.split(".")
    length = f"<espi:intervalLength>{feed.step}</espi:intervalLength>" if feed.step is not None else ""
    tou = f"<espi:tou>{tariff}</espi:tou>" if tariff != "0" else ""
    return (
        f"<espi:ReadingType><espi:accumulationBehaviour>{_DELTA}</espi:accumulationBehaviour>"
        f"<espi:commodity>{_SECONDARY_METERED}</espi:commodity><espi:dataQualifier>{_NORMAL}</espi:dataQualifier>"
        f"<espi:defaultQuality>{_VALID}</espi:defaultQuality>"
        f"<espi:flowDirection>{_DIRECTIONS.get(quantity, 0)}</espi:flowDirection>{length}"
        f"<espi:kind>{_ENERGY}</espi:kind><espi:phase>{_NO_PHASE}</espi:phase>"
        f"<espi:powerOfTenMultiplier>{feed.power}</espi:powerOfTenMultiplier>"
        f"<espi:timeAttribute>{_NO_TIME_ATTRIBUTE}</espi:timeAttribute>{tou}"
        f"<espi:uom>{_ACTIVE if quantity in '12' else _REACTIVE}</espi:uom></espi:ReadingType>"
    )


def _reading(feed: Feed, amount: Amount) -> str:
    assert amount.amount is not None
    whole = amount.amount.scaleb(_KILO - feed.power).quantize(Decimal(1), ROUND_HALF_EVEN)
    if abs(whole) > _INT48:
        return ""
    quality = _QUALITIES[amount.quality]
    if amount.completeness < 1:
        quality = _QUESTIONABLE
    said = (
        ""
        if quality == _VALID
        else f"<espi:ReadingQuality><espi:quality>{quality}</espi:quality></espi:ReadingQuality>"
    )
    period = _interval("timePeriod", amount.begin, amount.end)
    return f"<espi:IntervalReading>{said}{period}<espi:value>{whole}</espi:value></espi:IntervalReading>"


def _interval(name: str, begin: datetime, end: datetime) -> str:
    duration = int((end - begin).total_seconds())
    return (
        f"<espi:{name}><espi:duration>{duration}</espi:duration><espi:start>{begin.timestamp():.0f}</espi:start>"
        f"</espi:{name}>"
    )


def _clock(zone: ZoneInfo, since: datetime, until: datetime) -> str | None:
    """ESPI's clock has one offset and two rules; told where none of the rules is needed, else None."""
    offsets = set(_offsets(zone, since, until))
    if len(offsets) != 1:
        return None
    [offset] = offsets
    return (
        f"<espi:LocalTimeParameters><espi:dstEndRule>{_NO_RULE}</espi:dstEndRule><espi:dstOffset>0</espi:dstOffset>"
        f"<espi:dstStartRule>{_NO_RULE}</espi:dstStartRule><espi:tzOffset>{int(offset.total_seconds())}</espi:tzOffset>"
        "</espi:LocalTimeParameters>"
    )


def _offsets(zone: ZoneInfo, since: datetime, until: datetime) -> Iterator[timedelta]:
    at = since
    while at < until:
        yield at.astimezone(zone).utcoffset() or timedelta()
        at += timedelta(days=7)
    yield until.astimezone(zone).utcoffset() or timedelta()


def _is_whole(number: Decimal) -> bool:
    return number == number.to_integral_value()


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}Z"
