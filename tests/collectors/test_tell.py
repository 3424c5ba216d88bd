"""Messages to people, over a real HTTP server and a real mail server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import SecretStr

from collectors.alert_settings import AlertSettings
from collectors.tell import Mail, Webhook
from ingest.alert_words import Message
from ingest.errors import Misconfigured, Unreachable

SAID = Message("Учёт: неисправностей 1", "линия tp-1: нет ответа", {"raised": [{"key": "line:tp-1"}]})


class Hook(BaseHTTPRequestHandler):
    """Notes what is posted to it; /full is full."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append(json.loads(body))  # type: ignore[attr-defined]
        self.send_response(507 if self.path.startswith("/full") else 204)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Quietly."""


@pytest.fixture
def hook() -> Iterator[HTTPServer]:
    """A web server of this test's own."""
    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        server.posted = []  # type: ignore[attr-defined]
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_a_webhook_gets_the_facts_and_the_text(hook: HTTPServer) -> None:
    await Webhook(f"http://127.0.0.1:{hook.server_port}/secret-path")(SAID)
    assert hook.posted == [{"raised": [{"key": "line:tp-1"}], "text": SAID.text}]  # type: ignore[attr-defined]


async def test_a_webhook_that_refuses_or_is_away_is_named_without_its_secret(hook: HTTPServer) -> None:
    with pytest.raises(Unreachable, match="answered 507") as refused:
        await Webhook(f"http://127.0.0.1:{hook.server_port}/full?token=canary")(SAID)
    with pytest.raises(Unreachable, match=r"webhook at 127\.0\.0\.1") as away:
        await Webhook("http://127.0.0.1:9/hook?token=canary")(SAID)
    assert "canary" not in f"{refused.value} {away.value} {Webhook('http://x/canary')!r}"


class Mailbox:
    """Keeps the letters it is handed."""

    def __init__(self) -> None:
        self.letters: list[tuple[list[str], bytes]] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.letters.append((envelope.rcpt_tos, envelope.content))
        return "250 taken"


async def test_mail_arrives_with_its_letters(unused_tcp_port: int) -> None:
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=unused_tcp_port)
    controller.start()
    try:
        await Mail(f"smtp://127.0.0.1:{unused_tcp_port}", "amr@example.org", ["a@example.org", "b@example.org"])(SAID)
    finally:
        controller.stop()
    ((receivers, content),) = mailbox.letters
    assert receivers == ["a@example.org", "b@example.org"]
    letter = message_from_bytes(content, policy=policy.default)
    assert letter["Subject"] == SAID.subject
    assert letter.get_content().strip() == SAID.text


async def test_a_mail_server_that_is_away_is_named_without_its_password() -> None:
    with pytest.raises(Unreachable, match=r"mail server 127\.0\.0\.1") as away:
        await Mail("smtp://amr:canary@127.0.0.1:9", "amr@example.org", ["a@example.org"])(SAID)
    assert "canary" not in str(away.value)


def test_settings_say_what_is_missing() -> None:
    with pytest.raises(Misconfigured, match="AMR_ALERT_TO"):
        AlertSettings(alert_smtp_url=SecretStr("smtp://h"), alert_from="a@example.org").tellers()
    with pytest.raises(Misconfigured, match="AMR_ALERT_SMTP_URL"):
        AlertSettings(alert_smtp_url=SecretStr("http://h"), alert_from="a@x", alert_to="b@x").tellers()
    assert AlertSettings().tellers() == []
