"""One example for every answer about the fleet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DAY = {"day": "2026-03-19", "point": "flat-12", "expected": 48, "received": 46}
_REGISTER = {"channel": "1.8.0", "unit": "kWh", "digits": 6, "decimals": 2, "max_rate": "69"}
_MODEL = {
    "name": "eastron-sdm630",
    "manufacturer": "Eastron",
    "title": "SDM630-Modbus V2",
    "speaks": "modbus",
    "source": "SDM630-Modbus V2 protocol, table 3",
    "registers": [_REGISTER],
}
_LINE = {
    "name": "house-1",
    "kind": "rtu-over-tcp",
    "address": "10.0.0.7:502",
    "options": {"timeout": 0.5, "password": "***"},
    "meters": 24,
}
_METER = {
    "serial": "SDM630-0001",
    "model": "eastron-sdm630",
    "line": "house-1",
    "address": "7",
    "gateway": None,
    "period": "30m",
    "verified_until": "2031-05-01",
    "point": "flat-12",
    "contact": {
        "state": "waiting",
        "tried_at": None,
        "answered_at": None,
        "failure": None,
        "failed_turns": 0,
        "clock_drift": None,
        "detail": None,
    },
}
_INSTALLATION = {
    "point": "flat-12",
    "meter": "SDM630-0001",
    "since": "2024-01-01T00:00:00+04:00",
    "until": None,
    "ct": "1",
    "vt": "1",
    "ratio": "1",
    "opening": {"1.8.0": "0.02"},
    "closing": {},
}
_ENDED = {**_INSTALLATION, "until": "2026-03-20T14:30:00+04:00", "closing": {"1.8.0": "12345.67"}}
_BEGUN = {**_INSTALLATION, "meter": "SDM630-0002", "since": "2026-03-20T14:30:00+04:00"}
_CHANGE = {"ended": _ENDED, "begun": _BEGUN}
_DIFFERENCE = {
    "dry_run": True,
    "added": 1,
    "changed": 0,
    "unchanged": 0,
    "items": [
        {
            "kind": "point",
            "name": "flat-12",
            "added": True,
            "changes": [{"field": "zone", "old": None, "new": "Europe/Samara"}],
        }
    ],
    "absent": [{"kind": "meter", "count": 1, "names": ["SDM630-0001"]}],
    "text": "+ point flat-12: zone Europe/Samara\n1 added, 0 changed, 0 unchanged",
}
_TEST_READ = {
    "id": 17,
    "meter": "SDM630-0001",
    "line": "house-1",
    "state": "done",
    "asked_at": "2026-03-20T10:30:00+00:00",
    "asked_by": "engineer-1",
    "finished_at": "2026-03-20T10:30:01+00:00",
    "read_at": "2026-03-20T10:30:01+00:00",
    "failure": None,
    "detail": None,
    "values": [{"channel": "1.8.0", "value": "12345.67", "unit": "kWh"}],
}
_SEEN = {"first_at": "2026-03-20T10:30:00+00:00", "last_at": "2026-03-20T11:30:00+00:00"}
_PIECE = {
    "id": 5,
    "origin": "mqtt:amr/v1/gw-7/data",
    "reason": "unknown_meter",
    "detail": "meter SDM630-0009 is not in the fleet",
    "meter": "SDM630-0009",
    "channel": "1.8.0",
    **_SEEN,
    "times": 3,
    "size": 96,
}
_REPLAYED = {
    "tried": 3,
    "left": 2,
    "stored": 2,
    "repeated": 0,
    "superseded": 0,
    "suspect": 0,
    "intervals": 0,
    "stay": {"unknown_channel": 1},
    "next": None,
}

ANSWERS: Mapping[str, Any] = {
    "listModels": {"items": [_MODEL]},
    "getModel": _MODEL,
    "listLines": {"items": [_LINE], "next": None},
    "getLine": _LINE,
    "listMeters": {"items": [_METER], "next": None},
    "getMeter": {**_METER, "options": {}, "registers": [_REGISTER], "installations": [_INSTALLATION]},
    "getPointHistory": {
        "point": "flat-12",
        "zone": "Europe/Samara",
        "installations": [_ENDED, _BEGUN],
        "contracts": [{"consumer": "consumer-77", "since": "2024-01-01T00:00:00+04:00", "until": None}],
    },
    **dict.fromkeys(("applyFleet", "putLine", "putPoint", "putMeter", "putInstallation", "putContract"), _DIFFERENCE),
    **dict.fromkeys(("exchangeMeter", "changeRatio"), _CHANGE),
    "startTestRead": {**_TEST_READ, "state": "queued", "finished_at": None, "read_at": None, "values": []},
    "getTestRead": _TEST_READ,
    "listQuarantine": {
        "items": [_PIECE],
        "next": None,
        "reasons": [{"reason": "unknown_meter", "rows": 1, "times": 3, **_SEEN}],
        "room": {"rows": 1, "bytes": 96, "most_rows": 500000, "most_bytes": 1073741824, "share": "0.0000"},
        "unkept": [],
    },
    "getQuarantinePiece": {**_PIECE, "text": '{"1.8.0": 12}', "raw": "eyIxLjguMCI6IDEyfQ=="},
    "replayQuarantine": _REPLAYED,
    "dropQuarantine": {"dropped": 3, "more": False},
    "listUnknownMeters": {
        "items": [
            {
                "meter": "SDM630-0009",
                "known": False,
                "owner": None,
                "gateways": ["gw-7"],
                "origins": ["mqtt:amr/v1/gw-7/data"],
                "pieces": 1,
                "times": 3,
                **_SEEN,
                "values": [{"channel": "1.8.0", "value": "12", "unit": "kWh", "taken_at": "2026-03-20T10:30:00+00:00"}],
            }
        ]
    },
    "adoptMeter": {
        "meter": "SDM630-0009",
        "point": "flat-12",
        "gateway": "gw-7",
        "since": "2026-03-20T10:30:00+00:00",
        "changed": True,
        "replayed": _REPLAYED,
    },
    "getFleetHealth": {
        "at": "2026-03-20T20:00:00+00:00",
        "meters": 24,
        "silent": 1,
        "faults": [
            {
                "level": "meter",
                "place": "SDM630-0001",
                "cause": "timeout",
                "since": "2026-03-20T15:30:01+00:00",
                "meters": ["SDM630-0001"],
                "detail": None,
                "remedy": {"en": "check its power, wiring and address", "ru": "проверьте питание, подключение и адрес"},
            }
        ],
        "yesterday": {
            "day": "2026-03-19",
            "points": 24,
            "expected": 1152,
            "received": 1150,
            "lacking": 1,
            "worst": [_DAY],
        },
        "quarantine": {"rows": 3, "share": 0.0001},
        "verifications_due": [{"meter": "SDM630-0001", "point": "flat-12", "last_day": "2026-04-01"}],
        "clock_drifts": [{"meter": "SDM630-0001", "point": "flat-12", "seconds": -42.0}],
        "processes": [
            {
                "role": "collector",
                "name": "box-1",
                "alive": True,
                "started_at": "2026-03-01T00:00:00+00:00",
                "seen_at": "2026-03-20T19:59:55+00:00",
                "state": {"lines": 3, "intake": {"rows": 0, "oldest": 0.0}},
            }
        ],
    },
    "listFleetEvents": {
        "items": [
            {
                "number": 71,
                "at": "2026-03-20T15:30:01+00:00",
                "kind": "swapped_meter",
                "point": "flat-12",
                "meter": "SDM630-0001",
                "detail": {"stored": "SDM630-0001", "message": "the meter says it is SDM630-0777"},
            }
        ],
        "next": None,
    },
    "getCompleteness": {"point": "flat-12", "items": [_DAY]},
}
"""By operation id, as in `api.examples`."""
