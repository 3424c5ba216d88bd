"""What a poll becomes at the door."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from collectors.link import Answer, LineDown, Silent
from collectors.poll import contact, delivery_of
from ingest.delivery import Reject
from ingest.errors import Busy
from tests.collectors.modbus_rig import polled

NOW = datetime(2026, 11, 20, 12, 0, 7, tzinfo=UTC)
METER = polled(5)


def test_all_values_share_the_instant_and_the_meter_answered() -> None:
    answer = Answer({"1.8.0": Decimal("1.5"), "1.7.0": Decimal("-20")})
    delivery = delivery_of("modbus:tp-101/5", METER, NOW, answer)
    assert [(one.meter, one.channel, one.taken_at, one.value) for one in delivery.readings] == [
        ("serial-5", "1.8.0", NOW, Decimal("1.5")),
        ("serial-5", "1.7.0", NOW, Decimal("-20")),
    ]
    [news] = delivery.contacts
    assert (news.meter, news.tried_at, news.failure) == ("serial-5", NOW, None)


def test_what_cannot_be_a_reading_is_rejected_and_the_rest_is_kept() -> None:
    other = Reject("malformed_register", "", b"", METER.serial, "2.8.0")
    answer = Answer({"1.8.0": Decimal(-1), "3.8.0": Decimal(4), "4.8.0": Decimal(2**63)}, rejects=(other,))
    delivery = delivery_of("modbus:tp-101/5", METER, NOW, answer)
    assert [one.channel for one in delivery.readings] == ["3.8.0"]
    assert [(one.reason, one.channel) for one in delivery.rejects] == [
        ("malformed_register", "2.8.0"),
        ("impossible_value", "1.8.0"),
        ("impossible_value", "4.8.0"),
    ]
    assert "never is; check the model's type" in delivery.rejects[1].detail


def test_a_failure_names_the_level_that_is_silent() -> None:
    assert contact(METER, NOW, Silent("no answer")).failure == "timeout"
    assert contact(METER, NOW, LineDown("no connection")).failure == "line_down"
    assert contact(METER, NOW, Busy("later")).failure == "busy"
