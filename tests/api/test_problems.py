"""Errors as problem documents: the framework's own, our own by class, and faults, in the client's language."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api import problems
from api.cli import serving
from api.fault_texts import FAULTS
from api.faults import Fault, echo
from api.kinds import KINDS
from api.language import preferred
from api.problems import ERRORS, Problem, invalid
from api.service_schemas import ProblemOut
from api.words import REASONS
from ingest import errors
from ingest.model import Reason
from storage.database import StoreTimeout
from tests.api.conftest import House, bearer

FRAMEWORK_ERRORS = [
    ("GET", "/", 404, "not_found"),
    ("GET", "/api/v1/nothing", 404, "not_found"),
    ("GET", "/api/v1/points/", 404, "not_found"),
    ("GET", "/docs/../../etc/passwd", 404, "not_found"),
    ("GET", "/docs/%2e%2e%2fsecret", 404, "not_found"),
    ("DELETE", "/api/v1/points", 405, "method_not_allowed"),
    ("PATCH", "/healthz", 405, "method_not_allowed"),
]


async def test_all_methods_of_an_address_are_allowed_in_one_breath(house: House) -> None:
    answer = await house.client.delete("/api/v1/points/flat-1/readings", headers=bearer("root"))
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert "GET, POST" in answer.json()["detail"]


async def test_the_framework_answers_with_problems_too(house: House, subtests: pytest.Subtests) -> None:
    for method, path, status, code in FRAMEWORK_ERRORS:
        with subtests.test(method=method, path=path, status=status, code=code):
            answer = await house.client.request(method, path, headers=bearer("root"))
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"
            problem = ProblemOut.model_validate_json(answer.content)
            assert (problem.status, problem.code, problem.type) == (status, code, f"/problems/{code}")
            if status == 405:
                assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("ru", "ru"),
        ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("en-US,en;q=0.9,ru;q=0.8", "en"),
        ("de, ru;q=0.5, en;q=0.4", "ru"),
        ("de", "en"),
        ("*", "en"),
        ("ru;q=0", "en"),
        ("ru;q=2, en", "en"),
        ("ru;q=x", "en"),
        (";;;,,,=", "en"),
        ("RU", "ru"),
        (",".join(["de"] * 1000) + ",ru", "en"),
    ],
)
def test_the_best_language_of_ours_is_taken(header: str, language: str) -> None:
    assert preferred(header) == language


async def test_problems_speak_the_language_asked_for(house: House) -> None:
    answer = await house.client.get("/api/v1/points/nowhere", headers={**bearer("root"), "Accept-Language": "ru"})
    assert answer.json()["title"] == "Такой точки учёта нет"
    assert answer.headers["content-language"] == "ru"
    assert "Accept-Language" in answer.headers["vary"]
    english = await house.client.get("/api/v1/points/nowhere", headers=bearer("root"))
    assert english.json()["title"] == "No such metering point"


def test_every_text_can_be_said_in_both_languages() -> None:
    everything = defaultdict(lambda: "x", reason="x")
    for kind in KINDS.values():
        for text in (kind.title, kind.detail):
            assert text.say("en", everything)
            assert any("а" <= letter <= "я" for letter in text.say("ru", everything)) or text.ru in (
                "{reason}",
                "{first}",
            )
    for fault in FAULTS.values():
        assert fault.message.say("ru", everything)
        assert fault.remedy.say("en", everything)
        assert any("а" <= letter <= "я" for letter in fault.remedy.say("ru", everything))


def test_every_reason_to_doubt_has_words() -> None:
    assert {bit.name.lower() for bit in Reason if bit.name} == set(REASONS)


def test_every_error_of_ours_has_a_status_or_is_our_fault() -> None:
    ours = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.AmrError)}
    own_fault = {errors.AmrError, errors.Refused, errors.Misconfigured}
    assert ours == {error for error in ERRORS if error is not StoreTimeout} | own_fault


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.StoreUnavailable("connection to 10.0.0.1 refused"), 503, "unavailable"),
        (StoreTimeout("canceling statement"), 503, "too_slow"),
        (errors.Busy("queue full"), 503, "unavailable"),
        (errors.StoreRejected("value NUL in column x"), 400, "bad_request"),
        (errors.FleetConflict("meter M stands elsewhere"), 409, "conflict"),
        (errors.NotFound("no such thing"), 404, "not_found"),
        (errors.Misconfigured("relation reading does not exist"), 500, "internal"),
        (errors.AmrError("secret"), 500, "internal"),
        (ZeroDivisionError("secret"), 500, "internal"),
    ],
)
async def test_errors_become_statuses_and_do_not_leak(error: Exception, status: int, code: str) -> None:
    app = FastAPI()
    problems.install(app)

    @app.get("/fail")
    async def fail() -> None:
        raise error

    async with serving(app, "127.0.0.1", 0) as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.get("/fail")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert ("retry-after" in answer.headers) == (status == 503)
    if status >= 500:
        assert str(error) not in answer.text
    if code == "internal":
        assert len(problem["detail"].rsplit(" ", 1)[-1]) == 8


def test_braces_in_what_clients_send_stay_braces() -> None:
    said = invalid(Fault("{field}", "{0} {reason.__class__}", "unknown_field")).render("en")
    assert "{0} {reason.__class__}" in str(said["detail"])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, None),
        (True, "true"),
        ("a\nb\x00", "a�b�"),
        ("x" * 101, "x" * 100 + "…"),
        ([1, 2], "[1, 2]"),
        ({"a": None, "б": Decimal("1.50")}, '{"a": null, "б": "1.50"}'),
        (Decimal("1.50"), "1.50"),
        (b"{\xff", "{�"),
        ("\ud800", "�"),
    ],
)
def test_values_are_echoed_short_and_on_one_line(value: Any, said: str | None) -> None:
    assert echo(value) == said


def test_a_problem_has_the_members_of_the_standard() -> None:
    said = Problem("doubtful", members={"values": []}).render("en")
    assert said.keys() == {"type", "title", "status", "code", "detail", "errors", "values"}
