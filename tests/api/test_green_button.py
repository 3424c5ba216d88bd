"""Green Button data, read by the rules of ESPI's schema (NAESB REQ.21, espi.xsd 4.0) written here in own words."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import Element

import httpx
from defusedxml.ElementTree import fromstring

from ingest.model import Reading
from tests.api.conftest import START, House, daily

ATOM = "{http://www.w3.org/2005/Atom}"
ESPI = "{http://naesb.org/espi}"

ORDER = {
    "ReadingType": [
        "accumulationBehaviour",
        "commodity",
        "consumptionTier",
        "currency",
        "dataQualifier",
        "defaultQuality",
        "flowDirection",
        "intervalLength",
        "kind",
        "phase",
        "powerOfTenMultiplier",
        "timeAttribute",
        "tou",
        "uom",
    ],
    "UsagePoint": ["roleFlags", "ServiceCategory", "status"],
    "LocalTimeParameters": ["dstEndRule", "dstOffset", "dstStartRule", "tzOffset"],
    "IntervalReading": ["cost", "ReadingQuality", "timePeriod", "value"],
    "interval": ["duration", "start"],
    "timePeriod": ["duration", "start"],
}
"""Elements stand in this order in ESPI; all of them may be left out but those of the last four."""

MULTIPLIERS = {-12, -9, -6, -3, -2, -1, 0, 1, 2, 3, 6, 9, 12}


def check(feed: Element) -> dict[str, list[Element]]:
    """Hold a feed to the rules; gives its resources by name."""
    assert feed.tag == f"{ATOM}feed"
    assert [child.tag for child in feed][:4] == [f"{ATOM}{name}" for name in ("id", "title", "updated", "link")]
    found: dict[str, list[Element]] = {}
    ids = [feed.findtext(f"{ATOM}id")]
    selves: set[str] = set()
    related: set[str] = set()
    for entry in feed.findall(f"{ATOM}entry"):
        ids.append(entry.findtext(f"{ATOM}id"))
        links = entry.findall(f"{ATOM}link")
        selves |= {link.attrib["href"] for link in links if link.get("rel") == "self"}
        related |= {link.attrib["href"] for link in links if link.get("rel") == "related"}
        assert {link.get("rel") for link in links} >= {"self", "up"}
        [content] = entry.findall(f"{ATOM}content")
        [resource] = content
        assert resource.tag.startswith(ESPI)
        found.setdefault(resource.tag.removeprefix(ESPI), []).append(resource)
    assert len(set(ids)) == len(ids)
    assert all(one is not None and one.startswith("urn:uuid:") for one in ids)
    dangling = {link for link in related if not any(one == link or one.startswith(f"{link}/") for one in selves)}
    assert not dangling or not found.get("IntervalBlock")
    for element in feed.iter():
        order = ORDER.get(element.tag.removeprefix(ESPI))
        if order is not None:
            places = [order.index(child.tag.removeprefix(ESPI)) for child in element]
            assert places == sorted(set(places)), element.tag
    return found


def value_of(parent: Element, name: str) -> int:
    text = parent.findtext(f"{ESPI}{name}")
    assert text is not None, name
    return int(text)


def energies(found: dict[str, list[Element]]) -> list[tuple[int, int, Decimal]]:
    """Start, duration and kWh of every reading."""
    power = value_of(found["ReadingType"][0], "powerOfTenMultiplier")
    assert power in MULTIPLIERS
    told = []
    for block in found.get("IntervalBlock", []):
        [whole] = block.findall(f"{ESPI}interval")
        inside = []
        for reading in block.findall(f"{ESPI}IntervalReading"):
            [period] = reading.findall(f"{ESPI}timePeriod")
            inside.append((value_of(period, "start"), value_of(period, "duration")))
            assert abs(value_of(reading, "value")) < 2**47
            told.append((*inside[-1], Decimal(value_of(reading, "value")).scaleb(power - 3)))
        begin = value_of(whole, "start")
        assert begin <= inside[0][0]
        assert sum(inside[-1]) <= begin + value_of(whole, "duration")
    return told


async def ask(house: House, who: str = "olga", code: str = "flat-2", **parameters: Any) -> httpx.Response:
    asked = {"from": "2023-01-01", "to": "2023-01-11", **parameters}
    return await house.get(f"/points/{code}/green-button", who, **asked)


async def feed(house: House, who: str = "olga", code: str = "flat-2", **parameters: Any) -> dict[str, list[Element]]:
    answer = await ask(house, who, code, **parameters)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/atom+xml"
    return check(fromstring(answer.content))


async def test_energies_are_exact_whole_numbers(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "100", "2.000001", 15))
    asked = {"channel": "1.8.1", "step": "day", "from": "2023-01-01T00:00:00Z", "to": "2023-01-11T00:00:00Z"}
    found = await feed(house, **asked)
    assert {name: len(of) for name, of in found.items() if name != "IntervalBlock"} == {
        "UsagePoint": 1,
        "LocalTimeParameters": 1,
        "MeterReading": 1,
        "ReadingType": 1,
    }
    kind = found["ReadingType"][0]
    facts = [value_of(kind, name) for name in ("commodity", "flowDirection", "kind", "uom", "tou")]
    assert facts == [1, 1, 12, 72, 1]
    assert value_of(found["LocalTimeParameters"][0], "tzOffset") == 4 * 3600
    told = energies(found)
    items = (await house.get("/points/flat-2/consumption", "olga", **asked)).json()["items"]
    assert [energy for *_, energy in told] == [Decimal(one["amount"]) for one in items]
    assert [start for start, *_ in told] == [datetime.fromisoformat(one["from"]).timestamp() for one in items]
    assert sum(energy for *_, energy in told) == Decimal("20.00001")


async def test_holes_are_holes_and_estimates_say_so(house: House) -> None:
    half = timedelta(minutes=30)
    first = START + timedelta(days=2)
    await house.store(*(Reading("M-2", "1.8.1", first + number * half, 10 + Decimal(number)) for number in range(5)))
    await house.store(Reading("M-2", "1.8.1", first + timedelta(hours=3, minutes=15), Decimal(16)))
    found = await feed(house, channel="1.8.1", step="half-hour")
    told = energies(found)
    assert [(start - int(first.timestamp())) // 1800 for start, *_ in told] == list(range(7))
    qualities = [
        reading.findtext(f"{ESPI}ReadingQuality/{ESPI}quality")
        for block in found["IntervalBlock"]
        for reading in block.findall(f"{ESPI}IntervalReading")
    ]
    assert qualities[:4] == [None] * 4
    assert qualities[4:] == ["8", "8", "10"]  # between two readings; and half of it not known
    assert value_of(found["ReadingType"][0], "intervalLength") == 1800
    assert "IntervalBlock" not in await feed(house, channel="1.8.2", step="half-hour")


async def test_a_consumer_gets_their_own_time(house: House) -> None:
    await house.store(*daily("M-2", "1.8.1", "100", "2", 15))
    found = await feed(house, "vera", channel="1.8.1", step="day")
    days = {datetime.fromtimestamp(start, START.tzinfo).day for start, *_ in energies(found)}
    assert not days & {5, 6, 7}
    assert (await ask(house, "anna")).status_code == 404
    assert (await ask(house, "olga", channel="32.7.0")).json()["errors"][0]["code"] == "not_a_counter"
    assert (await ask(house, "olga", channel="9.8.0")).json()["errors"][0]["code"] == "not_a_counter"
    assert (await ask(house, "olga", channel="4.8.0")).json()["errors"][0]["code"] == "unknown_channel"
    long = {"from": "2000-01-01", "to": "2040-01-01", "step": "half-hour"}
    assert (await ask(house, "olga", **long)).json()["errors"][0]["code"] == "too_many_intervals"
    assert (await ask(house, "olga", step="year")).json()["errors"][0]["code"] == "not_a_choice"


async def test_names_are_only_text(house: House) -> None:
    async with house.database.connection() as conn:
        await conn.execute("UPDATE point SET name = '<b>&\"x' WHERE code = 'flat-2'")
    answer = await ask(house, channel="1.8.1")
    assert '<b>&"x' in str(fromstring(answer.content).findtext(f"{ATOM}title"))
