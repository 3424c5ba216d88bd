"""The configuration reference is made from the settings, and shows no secret."""

from __future__ import annotations

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

import amr
from api.cli_settings import rows
from tests.docs.console import ROOT

PAGE = ROOT / "docs" / "configuration.md"


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Without any variable of this machine's."""
    for name in amr.Settings.model_fields:
        monkeypatch.delenv(f"AMR_{name.upper()}", raising=False)
    return CliRunner()


def test_the_page_is_what_the_settings_say(runner: CliRunner) -> None:
    table = runner.invoke(amr.app, ["settings", "--markdown"]).stdout
    assert table.count("\n") == len(amr.Settings.model_fields) + 2
    assert table in PAGE.read_text(encoding="utf-8"), (
        "run: amr settings --markdown, and put it into docs/configuration.md"
    )


def test_every_setting_says_what_it_means() -> None:
    assert [row.name for row in rows(amr.Settings()) if len(row.meaning) < 7] == []


def test_a_secret_that_is_set_is_not_shown(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [name for name, field in amr.Settings.model_fields.items() if "SecretStr" in str(field.annotation)]
    assert {"database_url", "mqtt_url", "forward", "alert_smtp_url", "alert_webhook"} <= set(secrets)
    for name in secrets:
        monkeypatch.setenv(f"AMR_{name.upper()}", "https://u:canary@example.org")
    said = runner.invoke(amr.app, ["settings"], env={"COLUMNS": "300"}).stdout
    assert said.count("***") == len(secrets)
    assert "canary" not in said
    assert "canary" not in repr(amr.Settings(database_url=SecretStr("postgresql://u:canary@h")))
