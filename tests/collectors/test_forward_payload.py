"""What a forwarding collector keeps and sends is read at the other end as what was delivered, and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from collectors.confirmation import confirmation, confirmed_topic, read_confirmation
from collectors.exact import Unfit
from collectors.formats_in_use import load_formats
from collectors.forward_payload import item_of, message_of, readings_topic
from collectors.payload import MOST_REJECTS, Message, read_own
from ingest.delivery import Contact, Delivery, Reject
from ingest.model import IntervalReading, Reading

AT = datetime(2026, 11, 20, 12, 30, 15, 250_000, tzinfo=UTC)
NOW = AT + timedelta(seconds=1)
WHOLE = Delivery(
    "modbus:tp-101/5",
    [
        Reading("100", "1.8.0", AT, Decimal("12345.678000")),
        Reading("100", "32.7.0", AT, Decimal("-0.000001"), captured_at=NOW),
    ],
    [Reject("swapped_meter", "the meter says\nit is 7", b"1.8.0=5", "100", "1.8.0"), Reject("noise", "x", b"\xff\x00")],
    [Contact("100", AT, "timeout", "no\tanswer", timedelta(seconds=-3, microseconds=7)), Contact("101", AT, since=AT)],
    [IntervalReading("100", "1.8.0", AT, timedelta(minutes=30), Decimal("0.25"))],
)


def over(*deliveries: Delivery) -> Delivery:
    """These deliveries as the other end reads them."""
    payload = message_of("r-1", [item_of(one, NOW).body for one in deliveries])
    return load_formats().parse(Message(readings_topic("tp-101"), payload, NOW))


def test_a_delivery_arrives_whole() -> None:
    came = over(WHOLE)
    assert list(came.readings) == list(WHOLE.readings)
    assert list(came.intervals) == list(WHOLE.intervals)
    assert list(came.contacts) == [
        Contact("100", AT, "timeout", "no answer", timedelta(seconds=-3, microseconds=7), "tp-101"),
        Contact("101", AT, gateway="tp-101", since=AT),
    ]
    assert [(r.reason, r.detail, r.meter, r.channel) for r in came.rejects] == [
        ("swapped_meter", "the meter says it is 7", "100", "1.8.0"),
        ("noise", "x", None, None),
    ]
    assert (came.gateway, came.receipt) == ("tp-101", "r-1")


def test_deliveries_of_one_message_come_together() -> None:
    came = over(*(Delivery("line", [Reading(str(n), "1.8.0", AT, Decimal(n))]) for n in range(5)))
    assert [reading.meter for reading in came.readings] == list("01234")


def test_a_replayed_reject_says_the_same_again() -> None:
    for reject in over(WHOLE).rejects:
        [again] = read_own(reject.raw).rejects
        assert (again.reason, again.detail, again.raw) == (reject.reason, reject.detail, reject.raw)


def test_a_full_spool_may_thin_polls_and_never_archives() -> None:
    poll = item_of(Delivery("line", [Reading("100", "1.8.0", AT, Decimal(1))], contacts=[Contact("100", AT)]), NOW)
    assert (poll.series, poll.at) == ("100", AT)
    silent = item_of(Delivery("line", contacts=[Contact("100", AT, "timeout")]), NOW)
    assert silent.series not in (None, "100")
    assert item_of(WHOLE, NOW).series is None


@pytest.mark.parametrize("body", [b"", b"[]", b'{"readings":', b'{"readings":7}', b'{"x":[]}', b"\xff"])
def test_what_a_bad_disk_changed_is_a_reject_and_costs_nothing_else(body: bytes) -> None:
    good = item_of(Delivery("line", [Reading("100", "1.8.0", AT, Decimal(1))]), NOW).body
    came = load_formats().parse(Message(readings_topic("tp-101"), message_of("r", [good, body, good]), NOW))
    assert len(came.readings) == 2
    assert [reject.reason for reject in came.rejects] == ["damaged"]


GOOD: dict[str, dict[str, object]] = {
    "intervals": {"meter": "1", "channel": "1.8.0", "start": "2026-11-20T00:00:00Z", "seconds": 1800, "energy": "1.5"},
    "contacts": {"meter": "1", "at": "2026-11-20T00:00:00Z"},
    "rejects": {"reason": "noise", "detail": "x", "raw": "y"},
}


@pytest.mark.parametrize(
    ("part", "change", "reason"),
    [
        ("intervals", {"seconds": 0}, "bad_value"),
        ("intervals", {"seconds": 1e12}, "bad_value"),
        ("intervals", {"seconds": None}, "bad_value"),
        ("intervals", {"energy": -1}, "bad_value"),
        ("intervals", {"start": "2026-11-20T00:00:00"}, "bad_time"),
        ("intervals", {"start": "1970-01-01T00:00:00Z"}, "bad_time"),
        ("intervals", {"channel": "99"}, "unknown_channel"),
        ("intervals", {"unit": "Wh"}, "unknown_field"),
        ("contacts", {"meter": 1}, "bad_meter"),
        ("contacts", {"at": "2100-01-01T00:00:00Z"}, "bad_time"),
        ("contacts", {"failure": ""}, "bad_value"),
        ("contacts", {"failure": "x" * 41}, "bad_value"),
        ("contacts", {"detail": "a\u0000b"}, "bad_value"),
        ("contacts", {"drift": "1e11"}, "bad_value"),
        ("rejects", {"reason": 7}, "bad_value"),
        ("rejects", {"raw_base64": "not base64!"}, "bad_value"),
        ("rejects", {"raw_base64": "\ud800"}, "bad_value"),
        ("rejects", {"channel": "x"}, "unknown_channel"),
    ],
)
def test_a_bad_element_beside_the_readings_is_refused_alone(part: str, change: dict[str, object], reason: str) -> None:
    good = GOOD[part]
    parsed = read_own(json.dumps({"readings": [], part: [good, {**good, **change}, good]}).encode())
    unfit = [reject for reject in parsed.rejects if reject.reason != "noise"]
    assert [reject.reason for reject in unfit] == [reason]
    assert len(parsed.intervals) + len(parsed.contacts) + len(parsed.rejects) == 3
    assert list(json.loads(unfit[0].raw)) == [part]


@pytest.mark.parametrize("part", [*GOOD, "id"])
def test_parts_of_another_type_cost_no_reading(part: str) -> None:
    element = {"meter": "1", "channel": "1.8.0", "at": "2026-11-20T00:00:00Z", "value": 1}
    wrongs: list[object] = [7, None, "", {"a": 1}, [[]]]
    for wrong in wrongs:
        parsed = read_own(json.dumps({"readings": [element], part: wrong}).encode())
        assert (len(parsed.readings), len(parsed.rejects), parsed.receipt) == (1, 1, "")


def test_thousands_of_bad_elements_become_a_bounded_number_of_rejects() -> None:
    parsed = read_own(json.dumps({"contacts": [GOOD["contacts"], 7] * 5_000}).encode())
    assert (len(parsed.contacts), len(parsed.rejects)) == (5_000, MOST_REJECTS + 1)


def test_a_confirmation_names_the_batches() -> None:
    topic, payload = confirmation("tp-101", ["a", "b"])
    assert (topic, read_confirmation(payload)) == ("amr/v1/tp-101/confirmed", ["a", "b"])
    assert not set(confirmed_topic("a+b#")) & set("+#")


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b'{"ids":"a"}', b'{"ids":[1]}', b"\xff"])
def test_what_is_no_confirmation_confirms_nothing(payload: bytes) -> None:
    with pytest.raises(Unfit):
        read_confirmation(payload)
