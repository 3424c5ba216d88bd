"""Addresses with passwords in them, mistyped in every way people mistype: the password is in no message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from collectors.broker import Broker
from collectors.tell import Mail, Webhook
from ingest.errors import Misconfigured
from storage.database import DatabaseSettings, open_database

CANARY = "Canary7"

# Signs that end a part of an address, before, within and after the password.
WRITTEN = [
    form.format(CANARY)
    for form in (
        "{}/",
        "/{}",
        "12/{}",
        "{}#x",
        "1#{}",
        "{}?",
        "9?{}",
        "x@{}",
        "{}%zz",
        "[{}",
        "{}\u2100",
        '"{}"',
        "{} x",
    )
]


def said(make: Callable[[], object]) -> str:
    """What is told of a thing that is made, or of the mistake in its address."""
    try:
        made = make()
    except Misconfigured as error:
        return told(error)
    return f"{made} {made!r}"


def told(error: BaseException) -> str:
    """The error with all its causes, as a traceback would show them."""
    causes = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return f"{error!r} {error}" + (told(causes) if causes else "")


@pytest.mark.parametrize("password", WRITTEN)
@pytest.mark.parametrize("form", ["postgresql://u:{}@127.0.0.1:1/x", "postgresql//u:{}@h", "password={} host=h x"])
async def test_of_the_database(form: str, password: str) -> None:
    settings = DatabaseSettings(form.format(password), Path("/nonexistent"))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - refused, or read well and nobody there
        async with open_database(settings):
            pass
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize("password", WRITTEN)
@pytest.mark.parametrize("form", ["mqtt://u:{}@h", "mqtts://u:{}@h:8883", "mqtt//u:{}@h", "mqtt:u:{}@h"])
def test_of_the_broker(form: str, password: str) -> None:
    assert CANARY not in said(lambda: Broker.from_url(form.format(password)))


@pytest.mark.parametrize("password", WRITTEN)
def test_of_alerts(password: str) -> None:
    assert CANARY not in said(lambda: Webhook(f"https://u:{password}@h/x"))
    assert CANARY not in said(lambda: Webhook(f"https//{password}"))
    assert CANARY not in said(lambda: Mail(f"smtps://u:{password}@h", "a@b", ["c@d"]))
    assert CANARY not in said(lambda: Mail(f"smtp:u:{password}@h", "a@b", ["c@d"]))
