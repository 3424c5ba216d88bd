"""Messages to people: a webhook, and mail."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import httpx

from ingest.alert_words import Message
from ingest.errors import Misconfigured, Unreachable

_PATIENCE = 15.0
_SUBMISSION, _SMTPS, _PLAIN = 587, 465, 25


@dataclass(frozen=True, slots=True)
class Webhook:
    """Posts a message's facts as JSON. The address may carry a secret: it is not shown."""

    url: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _is_address(self.url, ("http", "https")):
            raise Misconfigured("AMR_ALERT_WEBHOOK: write https://host/path")

    async def __call__(self, said: Message) -> None:
        """Raises Unreachable when it was not taken with a 2xx answer."""
        host = urlsplit(self.url).hostname
        try:
            async with httpx.AsyncClient(timeout=_PATIENCE) as client:
                answer = await client.post(self.url, json={**said.facts, "text": said.text})
        except httpx.HTTPError as error:
            raise Unreachable(f"webhook at {host}: {error!r}") from error
        if not answer.is_success:
            raise Unreachable(f"webhook at {host} answered {answer.status_code}")


@dataclass(frozen=True, slots=True)
class Mail:
    """Sends a message through a mail server: smtp:// (STARTTLS where offered, required with a password), smtps://."""

    server: str = field(repr=False)
    sender: str
    to: Sequence[str]

    def __post_init__(self) -> None:
        if not _is_address(self.server, ("smtp", "smtps")):
            raise Misconfigured("AMR_ALERT_SMTP_URL: write smtp://user:password@host:587 or smtps://user:password@host")

    async def __call__(self, said: Message) -> None:
        """Raises Unreachable when the server did not take it."""
        letter = EmailMessage()
        letter["Subject"], letter["From"], letter["To"] = said.subject, self.sender, ", ".join(self.to)
        letter.set_content(said.text)
        try:
            await asyncio.to_thread(self._send, letter)
        except (OSError, smtplib.SMTPException) as error:
            raise Unreachable(f"mail server {urlsplit(self.server).hostname}: {error}") from error

    def _send(self, letter: EmailMessage) -> None:
        at = urlsplit(self.server)
        assert at.hostname
        secure = ssl.create_default_context()
        if at.scheme == "smtps":
            client: smtplib.SMTP = smtplib.SMTP_SSL(at.hostname, at.port or _SMTPS, timeout=_PATIENCE, context=secure)
        else:
            port = at.port or (_SUBMISSION if at.username else _PLAIN)
            client = smtplib.SMTP(at.hostname, port, timeout=_PATIENCE)
        with client:
            client.ehlo()
            if at.scheme == "smtp" and (at.username or client.has_extn("starttls")):
                client.starttls(context=secure)
            if at.username:
                client.login(unquote(at.username), unquote(at.password or ""))
            client.send_message(letter)


def _is_address(url: str, schemes: Sequence[str]) -> bool:
    """Whether a URL can be used, without ever saying what it is."""
    try:
        parts = urlsplit(url)
        httpx.URL(url)
        return parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
    except (ValueError, httpx.InvalidURL):
        return False
