"""Who is told of faults, how, and when not. Environment variables AMR_ALERT_*."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from collectors.tell import Mail, Webhook
from ingest.alerts import QuietHours, Rules
from ingest.errors import Misconfigured


class AlertSettings(BaseSettings):
    """The alerts' part of the deployment's settings; see `Settings` in amr.py for how they are read."""

    alert_webhook: SecretStr | None = Field(default=None, description="URL to post alerts to, as JSON")
    alert_smtp_url: SecretStr | None = Field(
        default=None, description="Mail server for alerts: smtp://user:password@host:587 or smtps://…"
    )
    alert_from: str | None = Field(default=None, description="Sender of the mail")
    alert_to: str = Field(default="", description="Its receivers, separated by commas")
    alert_language: Literal["en", "ru"] = Field(default="ru", description="Language of the messages, ru or en")
    alert_after: int = Field(default=5, ge=0, description="Minutes a fault stands before anybody is told")
    alert_meter_after: int = Field(default=60, ge=0, description="The same for a single silent meter")
    alert_digest: int = Field(default=5, ge=0, description="Minutes during which news are gathered into one message")
    alert_quiet: str = Field(default="", description="Hours without messages that are not urgent, like 22:00-07:00")
    alert_zone: str = Field(default="UTC", description="Time zone of these hours, like Europe/Moscow")

    def alert_rules(self) -> Rules:
        """When people are told. Misconfigured for hours or a zone that are none."""
        quiet = QuietHours.parse(self.alert_quiet, self.alert_zone) if self.alert_quiet else QuietHours()
        return Rules(
            after={"meter": timedelta(minutes=self.alert_meter_after)},
            after_else=timedelta(minutes=self.alert_after),
            digest=timedelta(minutes=self.alert_digest),
            quiet=quiet,
        )

    def tellers(self) -> list[Webhook | Mail]:
        """Every road to people that is configured; with none, alerts are in the log and in `amr status`."""
        found: list[Webhook | Mail] = []
        if self.alert_webhook is not None:
            found.append(Webhook(self.alert_webhook.get_secret_value()))
        if self.alert_smtp_url is not None:
            to = [one.strip() for one in self.alert_to.split(",") if one.strip()]
            if not to or not self.alert_from:
                raise Misconfigured("AMR_ALERT_SMTP_URL is set: set AMR_ALERT_FROM and AMR_ALERT_TO too")
            found.append(Mail(self.alert_smtp_url.get_secret_value(), self.alert_from, to))
        return found
