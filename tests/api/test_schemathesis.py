"""Every operation of the contract keeps it, whatever is sent: no fault of ours, no status or shape it does not have."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.context import Knowledge
from api.contract import contract
from api.problem_examples import ROLES
from tests.api.conftest import bearer
from tests.api.lasting_house import lasting_house

_DEPTH = int(os.environ.get("AMR_TEST_DEPTH", "1"))
EXAMPLES = {GenerationMode.POSITIVE: 10 * _DEPTH, GenerationMode.NEGATIVE: 6 * _DEPTH}
"""Requests of each operation; the same ones in every run. AMR_TEST_DEPTH asks for more."""
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
STREAMS = "text/event-stream"
KNOWN: Mapping[str, list[Any]] = {
    "code": ["flat-1", "flat-2", "flat-3", "empty"],
    "serial": ["M-1-NEW", "M-2", "M-99", "M-7"],
    "name": ["bus", "sdm630"],
    "number": [1, 2],
    "point": [["flat-1"], ["flat-1", "empty"]],
    "from": ["2023-01-01", "2023-01-31T00:00:00+03:00", "1990-01-01"],
    "to": ["2023-02-01", "2023-03-01T00:00:00Z", "2039-12-31"],
    "channel": ["1.8.0", "1.8.1", "32.7.0"],
    "month": ["2023-01"],
}
"""What there is: half of the requests ask for it."""


@schemathesis.serializer("application/toml")
def _as_it_is(context: schemathesis.SerializationContext, value: object) -> bytes:
    """A fleet file: whatever text there is."""
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "surrogatepass")


def _operations() -> list[APIOperation[Any, Any, Any, Any]]:
    found = schemathesis.openapi.from_dict(json.loads(contract())).get_all_operations()
    known = [one.ok() for one in found if isinstance(one, Ok)]
    return [one for one in known if STREAMS not in str(one.definition.raw["responses"].get("200"))]


def _can_be_wrong(operation: Mapping[str, Any]) -> bool:
    """Whether the contract forbids anything of what may be sent: any text will do for a name in an address."""
    said = [one for one in operation.get("parameters", ()) if one["in"] == "query" or one["name"] == "number"]
    return bool(said) or "requestBody" in operation


CASES = [
    pytest.param(one, mode, id=f"{one.definition.raw['operationId']}-{mode.value}")
    for one in _operations()
    for mode in EXAMPLES
    if mode is GenerationMode.POSITIVE or _can_be_wrong(one.definition.raw)
]


@pytest.fixture(scope="module")
def url(server_dsn: str, knowledge: Knowledge) -> Iterator[str]:
    """Where the house is."""
    with lasting_house(server_dsn, knowledge) as served:
        yield served


@pytest.mark.parametrize(("operation", "mode"), CASES)
def test_the_contract_is_kept(url: str, operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode) -> None:
    roles = operation.definition.raw.get(ROLES, ["consumer", "admin"])
    people = {"consumer": "boris", "operator": "olga", "engineer": "egor", "admin": "root"}
    session = requests.Session()

    @settings(max_examples=EXAMPLES[mode], suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def keeps_it(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if data.draw(st.booleans()):
            for parameters in (case.path_parameters, case.query):
                for name in sorted(KNOWN.keys() & (parameters or {}).keys()):
                    parameters[name] = data.draw(st.sampled_from(KNOWN[name]))
        who = people[data.draw(st.sampled_from(roles))]
        answer = case.call(base_url=url, headers=bearer(who), session=session, timeout=30)
        case.validate_response(answer, checks=CHECKS)

    with session:
        keeps_it()
