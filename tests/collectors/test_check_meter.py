"""What a fleet file may say of a meter on a line, as the collectors would take it."""

from __future__ import annotations

import pytest

from collectors.serial_link import check_meter
from ingest.errors import Misconfigured
from ingest.model import Line, Polled
from tests.collectors.serial_rig import CATALOG, PERIOD, polled

SERIAL = Line("tp-7", "serial-over-tcp", "10.0.0.7:4001")


@pytest.mark.parametrize(
    ("line", "meter", "complaint"),
    [
        (SERIAL, polled("mercury-234", "1", "241"), "address '241' is no Меркурий address; write a number from 0"),
        (SERIAL, polled("mercury-206", "1", "0x1FFFFFFFF"), "is no Меркурий address"),
        (SERIAL, polled("neva-mt3xx", "1", "адрес"), "is no IEC 62056-21 address"),
        (SERIAL, polled("eastron-sdm120", "1", "248"), "is no Modbus unit"),
        (SERIAL, polled("mercury-234", "1", "5", level=4), "level = 4"),
        (SERIAL, polled("mercury-234", "1", "5", pasword="864209"), "unknown"),
        (SERIAL, polled("mercury-234", "1", "5", clock_zone="Moscow"), "IANA"),
        (SERIAL, polled("mercury-234", "1", "5", password="hex:86420"), "password"),
        (Line("l", "modbus-tcp", "h:502"), polled("mercury-234", "1", "5"), "which a modbus-tcp line does not carry"),
    ],
)
def test_a_meter_that_cannot_be_asked_is_refused_by_name(line: Line, meter: Polled, complaint: str) -> None:
    with pytest.raises(Misconfigured, match=complaint) as wrong:
        check_meter(line, meter, CATALOG)
    assert "86420" not in str(wrong.value)


def test_meters_of_every_protocol_may_be_on_one_serial_line() -> None:
    for model, address in (
        ("mercury-234", "5"),
        ("mercury-206", "0x02CCD8E7"),
        ("neva-mt3xx", "00000201"),
        ("eastron-sdm120", "5"),
        ("described-in-the-file", "whatever"),
    ):
        options: dict[str, object] = {"password": "hex:010101010101", "level": 2} if "mercury" in model else {}
        check_meter(SERIAL, Polled("1", model, address, PERIOD, options=options), CATALOG)
