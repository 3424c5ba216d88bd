"""The contract: operation ids that clients were generated from, and errors declared as what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from api import service_schemas
from api.contract import contract
from tests.api.conftest import House

CONTRACT = Path(__file__).parents[2] / "docs" / "openapi.json"

OPERATIONS = {
    "getHealth": ("get", "/healthz"),
    "getReadiness": ("get", "/readyz"),
    "listCodes": ("get", "/problems"),
    "getProblemKind": ("get", "/problems/{code}"),
    "listPoints": ("get", "/api/v1/points"),
    "getPoint": ("get", "/api/v1/points/{code}"),
    "listReadings": ("get", "/api/v1/points/{code}/readings"),
    "getLatestReadings": ("get", "/api/v1/points/{code}/readings/latest"),
    "submitReadings": ("post", "/api/v1/points/{code}/readings"),
    "getLatestReadingsOfPoints": ("get", "/api/v1/readings/latest"),
    "getConsumptionOfPoints": ("get", "/api/v1/consumption"),
    "getStatistics": ("get", "/api/v1/points/{code}/statistics"),
    "getStatisticsOfPoints": ("get", "/api/v1/statistics"),
    "getConsumption": ("get", "/api/v1/points/{code}/consumption"),
    "exportReadings": ("get", "/api/v1/exports/readings"),
    "exportConsumption": ("get", "/api/v1/exports/consumption"),
    "export80020": ("get", "/api/v1/exports/80020"),
    "import80020": ("post", "/api/v1/imports/80020"),
    "askForReading": ("post", "/api/v1/points/{code}/reading-requests"),
    "listReadingRequests": ("get", "/api/v1/reading-requests"),
    "getReadingRequest": ("get", "/api/v1/reading-requests/{number}"),
    "refuseReadingRequest": ("post", "/api/v1/reading-requests/{number}/refusal"),
    "followReadingRequest": ("get", "/api/v1/reading-requests/{number}/events"),
    "listEvents": ("get", "/api/v1/cabinet/events"),
    "followEvents": ("get", "/api/v1/cabinet/events/stream"),
    "submitServiceRequest": ("post", "/api/v1/points/{code}/service-requests"),
    "listServiceRequests": ("get", "/api/v1/service-requests"),
    "getServiceRequest": ("get", "/api/v1/service-requests/{number}"),
    "moveServiceRequest": ("post", "/api/v1/service-requests/{number}/state"),
    "getPowerQuality": ("get", "/api/v1/points/{code}/power-quality"),
    "listCorrections": ("get", "/api/v1/points/{code}/readings/corrections"),
    "exportStatement": ("get", "/api/v1/exports/statement"),
    "getGreenButton": ("get", "/api/v1/points/{code}/green-button"),
    "addPhoto": ("post", "/api/v1/points/{code}/photos"),
    "listPhotos": ("get", "/api/v1/points/{code}/photos"),
    "getPhoto": ("get", "/api/v1/points/{code}/photos/{number}"),
    "putPoint": ("put", "/api/v1/points/{code}"),
    "listModels": ("get", "/api/v1/models"),
    "listFleetEvents": ("get", "/api/v1/fleet/events"),
    "getFleetHealth": ("get", "/api/v1/fleet/health"),
    "getCompleteness": ("get", "/api/v1/points/{code}/completeness"),
    "getModel": ("get", "/api/v1/models/{name}"),
    "listLines": ("get", "/api/v1/lines"),
    "getLine": ("get", "/api/v1/lines/{name}"),
    "putLine": ("put", "/api/v1/lines/{name}"),
    "listMeters": ("get", "/api/v1/meters"),
    "getMeter": ("get", "/api/v1/meters/{serial}"),
    "putMeter": ("put", "/api/v1/meters/{serial}"),
    "getPointHistory": ("get", "/api/v1/points/{code}/history"),
    "putInstallation": ("post", "/api/v1/points/{code}/installations"),
    "putContract": ("post", "/api/v1/points/{code}/contracts"),
    "exportFleet": ("get", "/api/v1/fleet"),
    "applyFleet": ("post", "/api/v1/fleet"),
    "exchangeMeter": ("post", "/api/v1/points/{code}/exchange"),
    "changeRatio": ("post", "/api/v1/points/{code}/ratio"),
    "startTestRead": ("post", "/api/v1/meters/{serial}/test-reads"),
    "getTestRead": ("get", "/api/v1/meters/{serial}/test-reads/{number}"),
    "listQuarantine": ("get", "/api/v1/quarantine"),
    "getQuarantinePiece": ("get", "/api/v1/quarantine/{number}"),
    "replayQuarantine": ("post", "/api/v1/quarantine/replay"),
    "dropQuarantine": ("post", "/api/v1/quarantine/drop"),
    "listUnknownMeters": ("get", "/api/v1/unknown-meters"),
    "adoptMeter": ("post", "/api/v1/unknown-meters/{serial}/adopt"),
}


@pytest.fixture
async def document(house: House) -> dict[str, Any]:
    """The served OpenAPI document."""
    answer = await house.client.get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Method and path by operation id."""
    return {
        operation["operationId"]: (method, path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


async def test_operation_ids_are_stable(document: dict[str, Any]) -> None:
    assert operations(document) == OPERATIONS


async def test_every_operation_is_described(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            assert operation["tags"], (method, path)


async def test_errors_are_declared_as_problem_documents(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (path, status)
                    schema = response["content"]["application/problem+json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ProblemOut"}
            if path.startswith("/api/"):
                assert {"401", "403", "422", "429", "500", "503"} <= operation["responses"].keys()
                assert operation["security"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_parameters_are_described_for_people(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/api/v1/points/{code}/consumption"]["get"]["parameters"]
    by_name = {parameter["name"]: parameter for parameter in parameters}
    assert by_name.keys() == {"code", "from", "to", "step", "channel", "gaps"}
    assert by_name["from"]["required"]
    assert by_name["step"]["schema"]["enum"] == ["half-hour", "hour", "day", "month", "year"]
    assert by_name["channel"]["schema"]["pattern"]


def test_every_answer_has_an_example_of_its_shape(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                for media_type, content in response.get("content", {}).items():
                    if media_type == "application/json":
                        check_shape(document, content["schema"], content["example"])
                    elif int(status) >= 400:
                        assert content["examples"], (path, status)
                        for code, example in content["examples"].items():
                            check_shape(document, content["schema"], example["value"])
                            assert (example["value"]["code"], example["value"]["status"]) == (code, int(status))


def check_shape(document: dict[str, Any], schema: dict[str, Any], example: object) -> None:
    """Hold an example against the schema that the document itself gives."""
    Draft202012Validator({**schema, "components": document["components"]}).validate(example)


def test_the_committed_contract_is_what_is_served() -> None:
    assert CONTRACT.read_text(encoding="utf-8") == contract(), "run: python -m api.contract > docs/openapi.json"


async def test_the_type_of_a_problem_leads_to_its_meaning(house: House) -> None:
    problem = (await house.get("/points/nowhere", "root")).json()
    meaning = await house.client.get(problem["type"])
    assert service_schemas.ProblemKind.model_validate_json(meaning.content).title.en == problem["title"]
    everything = service_schemas.Dictionary.model_validate_json((await house.client.get("/problems")).content)
    assert problem["code"] in {kind.code for kind in everything.problems}
    assert (await house.client.get("/problems/nothing")).status_code == 404
