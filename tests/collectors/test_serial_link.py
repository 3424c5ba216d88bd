"""Меркурий and IEC meters polled over TCP and a pseudo-terminal: the simulated truth, sessions, passwords, refusals."""

from __future__ import annotations

import contextlib
import logging
from datetime import timedelta
from decimal import Decimal

import pytest

from collectors.link import Answer, LineDown, Silent
from collectors.serial_link import SerialLink, line_link
from ingest.errors import Busy, Malformed, Misconfigured, Refused
from ingest.model import Line, Polled
from simulators.events import Drift
from simulators.faults import Kind
from tests.collectors.serial_rig import AT, CATALOG, Rig, close, polled, truth

OVER = pytest.mark.parametrize("over", ["tcp", "pty"])


@OVER
async def test_a_three_phase_meter_is_read_whole(over: str) -> None:
    rig = Rig()
    one = rig.mercury230()
    async with rig.link(over) as link:
        answer = await link.read(polled("mercury-230", "47000999", "5"))
    values, shown = dict(answer.values), truth(one)
    for channel in ("1.8.0", "1.8.1", "1.8.2", "3.8.0", "21.8.0", "41.8.0", "61.8.0"):
        assert values[channel] == shown[channel]
    assert values["1.8.3"] == 0
    assert "2.8.0" not in values
    assert "4.8.1" not in values
    assert close(values, shown, ["1.7.0", "32.7.0", "52.7.0", "72.7.0", "31.7.0", "13.7.0", "14.7.0"])
    assert answer.serial == "47000999"
    assert answer.drift == timedelta()
    assert answer.rejects == ()


@OVER
async def test_a_single_phase_meter_has_zones_and_no_total(over: str) -> None:
    rig = Rig()
    one = rig.mercury206()
    async with rig.link(over) as link:
        answer = await link.read(polled("mercury-206", "19531250", "19531250"))
    shown = truth(one)
    assert set(answer.values) == {"1.8.1", "1.8.2", "1.7.0", "31.7.0", "32.7.0"}
    assert answer.values["1.8.1"] == shown["1.8.1"]
    assert answer.values["1.8.2"] == shown["1.8.2"]
    assert answer.serial == "19531250"


@OVER
@pytest.mark.parametrize("model", ["energomera-ce102m", "energomera-ce303", "neva-mt3xx"])
async def test_iec_meters_are_read_whole_and_their_session_ended(over: str, model: str) -> None:
    rig = Rig()
    one = rig.iec_meter(model)
    async with rig.link(over) as link:
        for openings in (1, 2):
            answer = await link.read(polled(model, "141628345", "141628345"))
            assert one.openings == openings
    shown = truth(one)
    assert close(dict(answer.values), shown, ["1.8.0", "1.8.1", "1.8.2", "32.7.0", "14.7.0"])
    assert answer.serial == "141628345"
    assert answer.drift == timedelta()


async def test_the_same_meter_behind_a_converter_set_to_seven_bits() -> None:
    rig = Rig()
    rig.iec_meter()
    async with rig.link(data_bits=7, parity="E") as link:
        assert (await link.read(polled("energomera-ce102m", "141628345", "141628345"))).serial == "141628345"


async def test_a_register_the_meter_lacks_is_told_once() -> None:
    rig = Rig()
    rig.iec_meter("neva-mt3xx")
    meter = polled("neva-mt3xx", "141628345", "141628345")
    async with rig.link() as link:
        first, second = await link.read(meter), await link.read(meter)
    assert [reject.detail for reject in first.rejects] == [
        "the meter answered 030880FF with error 01; 3.8.0 is no longer asked of this meter",
        "the meter answered 040880FF with error 01; 4.8.0 is no longer asked of this meter",
    ]
    assert second.rejects == ()


async def test_a_readout_needs_no_password() -> None:
    rig = Rig()
    one = rig.iec_meter("neva-mt3xx", password="12345678")
    async with rig.link() as link:
        answer = await link.read(polled("iec-62056-readout", "141628345", "141628345"))
    assert answer.values["1.8.0"] == truth(one)["1.8.0"].quantize(Decimal("0.001"))
    assert answer.serial == "141628345"


async def test_the_channel_is_kept_and_opened_again_when_the_meter_forgot_it() -> None:
    rig = Rig()
    one = rig.mercury230()
    meter = polled("mercury-230", "47000999", "5")
    async with rig.link() as link:
        await link.read(meter)
        await link.read(meter)
        assert one.opened == 1
        one.expire()
        assert (await link.read(meter)).values["1.8.0"] == truth(one)["1.8.0"]
        assert one.opened == 2


@pytest.mark.parametrize("password", [b"\x01" * 6, b"111111"])
async def test_both_defaults_open_the_channel(password: bytes) -> None:
    rig = Rig()
    one = rig.mercury230(passwords=(password,))
    async with rig.link() as link:
        await link.read(polled("mercury-230", "47000999", "5"))
    assert one.opened == 1


@pytest.mark.parametrize(
    ("written", "password"), [("hex:0A0B0C0D0E0F", b"\x0a\x0b\x0c\x0d\x0e\x0f"), ("654321", b"654321")]
)
async def test_a_password_of_ones_own(written: str, password: bytes) -> None:
    rig = Rig()
    one = rig.mercury230(passwords=(b"\x01" * 6, password))
    async with rig.link() as link:
        await link.read(polled("mercury-230", "47000999", "5", password=written, level=2))
    async with rig.link(password=written, level=2) as link:
        await link.read(polled("mercury-230", "47000999", "5"))
    assert one.opened == 2


async def test_a_wrong_password_is_refused_and_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    rig = Rig()
    rig.mercury230()
    rig.iec_meter()
    secret = "864209"
    async with rig.link(password=secret) as link:
        for meter in (polled("mercury-230", "47000999", "5"), polled("energomera-ce102m", "141628345", "141628345")):
            with pytest.raises(Refused, match="password") as caught:
                await link.read(meter)
            assert secret not in str(caught.value)
    own = polled("mercury-230", "47000999", "5", password=secret)
    line = Line("tp-7", "serial", "/dev/null", {"password": secret})
    assert secret not in f"{own!r} {line!r} {caplog.text}"
    for wrong in ({"password": 864209}, {"password": "hex:8642090"}, {"passwort": secret}):
        with pytest.raises(Misconfigured) as misread:
            await SerialLink(line, CATALOG).read(polled("mercury-230", "47000999", "5", **wrong))
        assert secret not in str(misread.value)


async def test_options_nobody_knows_are_named() -> None:
    rig = Rig()
    rig.mercury230()
    async with rig.link() as link:
        with pytest.raises(Misconfigured, match="clock_zone = 'Samara': write an IANA time zone"):
            await link.read(polled("mercury-230", "47000999", "5", clock_zone="Samara"))
        with pytest.raises(Misconfigured, match="level = 4: write a whole number from 1 to 3"):
            await link.read(polled("mercury-230", "47000999", "5", level=4))
        with pytest.raises(Misconfigured, match="'241' is no Меркурий address"):
            await link.read(polled("mercury-230", "47000999", "241"))
        with pytest.raises(Misconfigured, match="no IEC 62056-21 address"):
            await link.read(polled("energomera-ce102m", "1", "№1"))


async def test_another_meter_at_the_address_gives_nothing() -> None:
    rig = Rig()
    rig.mercury230(serial="47000111")
    async with rig.link() as link:
        answer = await link.read(polled("mercury-230", "47000999", "5"))
    assert answer.values == {}
    assert answer.problem is not None
    assert answer.problem.code == "swapped_meter"
    assert any(reject.channel == "1.8.0" for reject in answer.rejects)


async def test_the_drift_of_the_meters_clock() -> None:
    rig = Rig()
    rig.mercury230(facts={"events": (Drift(AT - timedelta(days=10), 30.0),)})
    rig.iec_meter(serial="141628345")
    async with rig.link() as link:
        assert (await link.read(polled("mercury-230", "47000999", "5"))).drift == timedelta(minutes=5)
        meter = polled("energomera-ce102m", "141628345", "141628345", clock_zone="Europe/Moscow")
        assert (await link.read(meter)).drift == timedelta(hours=1)


async def test_what_a_meter_says_of_itself() -> None:
    rig = Rig()
    rig.mercury230(ratios=(1, 40), constant=5000)
    async with rig.link() as link:
        facts = await link.facts(polled("mercury-230", "47000999", "5"))
    assert facts == {"serial": "47000999", "clock": "2026-11-20 18:40:00", "vt": "1", "ct": "40", "constant": "5000"}


@OVER
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (Kind.DEAD, Silent),
        (Kind.NOISE, Malformed),
        (Kind.HALF_FRAME, Malformed),
        (Kind.SHORT, Malformed),
        (Kind.WRONG_UNIT, Malformed),
        (Kind.BUSY, Busy),
        (Kind.ILLEGAL_ADDRESS, Refused),
    ],
)
async def test_faults_of_the_wire_give_errors_and_no_values(over: str, kind: Kind, error: type[Exception]) -> None:
    rig = Rig()
    one = rig.mercury230()
    meter = polled("mercury-230", "47000999", "5")
    patience = 10.0 if error in (Busy, Refused) else 0.6  # who answers is waited for, however busy the machine is
    async with rig.link(over, timeout=patience) as link:
        await link.read(meter)
        one.break_with(kind)
        with pytest.raises(error):
            await link.read(meter)
        one.mend()
        assert (await link.read(meter)).values["1.8.0"] == truth(one)["1.8.0"]


async def test_a_late_answer_is_never_taken_for_the_next() -> None:
    rig = Rig()
    one, other = rig.mercury230(5), rig.mercury230(6, "47000111", facts={"start": {"1.8.0": Decimal("77.25")}})
    assert truth(one)["1.8.0"] != truth(other)["1.8.0"]
    meter = polled("mercury-230", "47000999", "5")
    async with rig.link() as link:
        await link.read(meter)
        one.break_with(Kind.LATE, seconds=0.25)
        with pytest.raises((Silent, Malformed)):
            await link.read(meter)
        one.mend()
        answer = await read_at_last(link, polled("mercury-230", "47000111", "6"))
        assert (answer.serial, answer.values["1.8.0"]) == ("47000111", truth(other)["1.8.0"])
        assert (await read_at_last(link, meter)).values["1.8.0"] == truth(one)["1.8.0"]


async def read_at_last(link: SerialLink, meter: Polled) -> Answer:
    """The first answer that is one: on a busy machine the late one may run into the next, which is then refused."""
    for _ in range(5):
        with contextlib.suppress(Silent, Malformed):
            return await link.read(meter)
    return await link.read(meter)


async def test_a_lost_line_is_told_and_the_channel_is_asked_for_again() -> None:
    rig = Rig()
    one = rig.mercury230()
    meter = polled("mercury-230", "47000999", "5")
    async with rig.link() as link:
        one.break_with(Kind.DISCONNECT)
        with pytest.raises(LineDown):
            await link.read(meter)
        one.mend()
        await link.open()
        assert (await link.read(meter)).serial == "47000999"


@OVER
async def test_the_speed_of_the_greeting_is_agreed_on_where_the_port_is_ours(over: str) -> None:
    rig = Rig()
    one = rig.iec_meter(speed=9600)
    async with rig.link(over, baud=2400 if over == "pty" else 9600, late=0.0, timeout=0.6) as link:
        for _ in range(2):
            answer = await link.read(polled("energomera-ce102m", "141628345", "141628345"))
            assert answer.values["1.8.0"] == truth(one)["1.8.0"]


def test_every_line_gets_the_link_it_needs() -> None:
    assert type(line_link(Line("a", "modbus-tcp", "h:502"), CATALOG)).__name__ == "ModbusLink"
    assert type(line_link(Line("a", "serial", "/dev/ttyS0"), CATALOG)).__name__ == "SerialLink"
    with pytest.raises(Misconfigured, match="kind"):
        line_link(Line("a", "smoke", "h:502"), CATALOG)
