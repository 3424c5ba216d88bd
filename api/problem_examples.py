"""Every problem an operation may answer with a status, as it would be said: the examples of errors in the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.faults import Fault
from api.instants import DATE_OR_TIME
from api.kinds import KINDS
from api.problems import Problem, invalid

SPECIAL: Mapping[str, frozenset[str]] = {
    "doubtful": frozenset({"submitReadings"}),
    "no_meter": frozenset({"submitReadings", "askForReading"}),
    "quarantined": frozenset({"submitReadings"}),
    "not_ready": frozenset({"getReadiness"}),
    "fleet_busy": frozenset(
        {
            "applyFleet",
            "putLine",
            "putPoint",
            "putMeter",
            "putInstallation",
            "putContract",
            "exchangeMeter",
            "changeRatio",
            "adoptMeter",
        }
    ),
    "too_many_files": frozenset({"exportReadings", "exportConsumption", "exportStatement"}),
    "too_many_photos": frozenset({"addPhoto"}),
    "contract_over": frozenset({"askForReading", "submitServiceRequest"}),
    "wrong_state": frozenset({"refuseReadingRequest", "moveServiceRequest"}),
    "asked_too_often": frozenset({"askForReading"}),
    "asked_too_much": frozenset({"askForReading"}),
    "too_many_streams": frozenset({"followEvents", "followReadingRequest"}),
}
"""Problems of single operations, by code; those not named here may come of any operation that has their status."""

ROLES = "x-roles"
"""What the contract calls the roles an operation is for, where it is not for everybody."""

_MEMBERS: Mapping[str, Mapping[str, object]] = {
    "doubtful": {
        "values": [
            {
                "channel": "1.8.1",
                "value": "10",
                "unit": "kWh",
                "reasons": [{"code": "below_previous", "text": "less than the previous reading"}],
                "previous": {"value": "10180", "taken_at": "2026-02-20T21:10:00+04:00", "source": "consumer"},
            }
        ]
    },
    "not_ready": {
        "ready": False,
        "checks": [
            {"name": "database", "ready": False, "detail": "StoreUnavailable"},
            {"name": "intake", "ready": True, "detail": "0 of 100000 rows, the oldest waits 0.0 s"},
        ],
    },
}
_PARAMETERS: Mapping[str, Any] = {
    "what": "/problems/nothing",
    "point": "flat-12",
    "taken_at": "2026-03-20T19:30:00+04:00",
    "seconds": 5,
    "limit": 65536,
    "scope": "readings:write",
    "reason": "the token is unknown, expired or revoked",
    "reference": "1f2e3d4c",
    "who": "egor",
    "since": " (2026-03-20 15:30:00Z)",
    "role": "consumer",
    "allowed": "engineer, admin",
    "most": 5,
    "number": 17,
    "state": "done",
    "moves": "-",
    "value": "image/webp",
    "types": "image/jpeg, image/png",
}


def problems_of(path: str, operation: Mapping[str, Any], status: int) -> dict[str, dict[str, Any]]:
    """Every problem an operation of the contract may answer with a status, by code, as OpenAPI's `examples`."""
    return {
        code: {"summary": kind.title.en, "value": _problem(code).render("en")}
        for code, kind in KINDS.items()
        if kind.status == status and _may(code, path, operation)
    }


def _may(code: str, path: str, operation: Mapping[str, Any]) -> bool:
    """Whether the operation may answer with the problem: by what it is, and for single ones by name."""
    parameters = {parameter["name"] for parameter in operation.get("parameters", ())}
    if code == "forbidden":
        return ROLES in operation
    if code in ("still_running", "key_reused"):
        return "Idempotency-Key" in parameters
    if code in ("point_not_found", "no_such_thing", "not_found"):
        of_point = "/points/{code}" in path or "point" in parameters
        return code == ("point_not_found" if of_point else "no_such_thing" if ROLES in operation else "not_found")
    return operation["operationId"] in SPECIAL.get(code, {operation["operationId"]})


def _problem(code: str) -> Problem:
    if code == "invalid_request":
        return invalid(Fault("from", "2026-03-01T00:00:00", "naive_time", form=DATE_OR_TIME))
    return Problem(code, members=_MEMBERS.get(code), **_PARAMETERS)
