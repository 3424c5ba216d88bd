"""One example for every answer in the contract; the problems are in `api.problem_examples`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_AS_OF = {"taken_at": "2026-03-20T19:30:00+04:00", "source": "automatic"}
_CONTACT = {
    "state": "silent",
    "tried_at": "2026-03-20T20:00:02+04:00",
    "answered_at": "2026-03-20T19:30:01+04:00",
    "failure": "timeout",
    "failed_turns": 1,
    "clock_drift": -42,
    "detail": None,
}
_POINT = {
    "code": "flat-12",
    "name": "Flat 12",
    "address": "Волгоград, ул. Мира, 1, кв. 12",
    "zone": "Europe/Samara",
    "category": "household",
    "official_code": "0034-12",
}
_BILLING = {"month": "2026-03", "in_window": True, "first_day": 15, "last_day": 25, "text": "counted to March 2026"}
_PERIOD = {"since": "2024-01-01T00:00:00+04:00", "until": None}
_READING: dict[str, Any] = {
    "meter": "SDM630-0001",
    "channel": "1.8.0",
    "taken_at": "2026-03-20T19:30:00+04:00",
    "value": "12345.67",
    "unit": "kWh",
    "source": "automatic",
    "quality": "good",
    "reasons": [],
    "received_at": "2026-03-20T19:30:01+04:00",
    "author": None,
    "note": None,
}
_TYPED = {**_READING, "value": "12345", "source": "consumer", "author": "consumer-77"}
_AMOUNT = {
    "from": "2026-03-01T00:00:00+04:00",
    "to": "2026-03-02T00:00:00+04:00",
    "amount": "7.25",
    "quality": "good",
    "completeness": "1",
    "ratios": ["1"],
    "reasons": [],
    "begin_value": "12100",
    "end_value": "12107.25",
    "meters": ["SDM630-0001"],
}
_LATEST = {"point": "flat-12", "zone": "Europe/Samara", "as_of": _AS_OF, "items": [{**_READING, "beside": [_TYPED]}]}
_CONSUMPTION = {
    "point": "flat-12",
    "zone": "Europe/Samara",
    "channel": "1.8.0",
    "unit": "kWh",
    "step": "day",
    "from": "2026-03-01T00:00:00+04:00",
    "to": "2026-03-02T00:00:00+04:00",
    "as_of": _AS_OF,
    "total": _AMOUNT,
    "items": [_AMOUNT],
}
_FIGURES = {
    "amount": _AMOUNT,
    "average_per_day": "7.25",
    "maximum_day": _AMOUNT,
    "zones": [
        {"channel": "1.8.1", "amount": "5", "share": "0.6897"},
        {"channel": "1.8.2", "amount": "2.25", "share": "0.3103"},
    ],
}
_STATISTICS = {
    "point": "flat-12",
    "zone": "Europe/Samara",
    "channel": "1.8.0",
    "unit": "kWh",
    "as_of": _AS_OF,
    "month_to_date": _FIGURES,
    "previous_month": _FIGURES,
    "same_month_last_year": None,
    "completeness": "0.98",
}
_SUBMITTED = {
    "point": "flat-12",
    "meter": "SDM630-0001",
    "taken_at": "2026-03-20T19:30:00+04:00",
    "source": "consumer",
    "author": "consumer-77",
    "values": [
        {"channel": "1.8.1", "value": "10234", "unit": "kWh", "fate": "stored", "quality": "good", "reasons": []},
        {"channel": "1.8.2", "value": "4711", "unit": "kWh", "fate": "stored", "quality": "good", "reasons": []},
    ],
    "billing": _BILLING,
    "missing": [],
    "answered_requests": [],
}
_CHECKS = [
    {"name": "database", "ready": True, "detail": "answers, schema is current"},
    {"name": "intake", "ready": True, "detail": "0 of 100000 rows, the oldest waits 0.0 s"},
]
_WORDS = {"en": "No such metering point", "ru": "Такой точки учёта нет"}


def _said(code: str, en: str, ru: str) -> dict[str, Any]:
    return {"code": code, "text": {"en": en, "ru": ru}}


ANSWERS: Mapping[str, Any] = {
    "getHealth": {"alive": True},
    "getReadiness": {"ready": True, "checks": _CHECKS},
    "listPoints": {
        "items": [
            {**_POINT, "visible": _PERIOD, "meter": "SDM630-0001", "model": "eastron-sdm630", "contact": _CONTACT}
        ],
        "next": None,
    },
    "getPoint": {
        **_POINT,
        "visible": [_PERIOD],
        "installation": {
            "meter": "SDM630-0001",
            "model": "eastron-sdm630",
            "since": "2024-01-01T00:00:00+04:00",
            "until": None,
            "ct": "1",
            "vt": "1",
            "ratio": "1",
            "channels": [{"channel": "1.8.0", "unit": "kWh", "kind": "counter", "digits": 6, "decimals": 2}],
        },
        "contact": _CONTACT,
        "billing": _BILLING,
    },
    "listReadings": {
        "point": "flat-12",
        "zone": "Europe/Samara",
        "channel": "1.8.0",
        "from": "2026-03-01T00:00:00+04:00",
        "to": "2026-04-01T00:00:00+04:00",
        "as_of": _AS_OF,
        "items": [_READING],
        "next": "0.MTc3NDAyNDIwMDAwMDAwMC4xLjI=",
    },
    "getLatestReadings": _LATEST,
    "getLatestReadingsOfPoints": {"items": [_LATEST]},
    "submitReadings": _SUBMITTED,
    "getStatistics": _STATISTICS,
    "getStatisticsOfPoints": {"items": [_STATISTICS]},
    "getConsumption": _CONSUMPTION,
    "getConsumptionOfPoints": {"items": [_CONSUMPTION]},
    "listCodes": {
        "problems": [{"code": "point_not_found", "status": 404, "title": _WORDS, "detail": _WORDS}],
        "faults": [{"code": "negative", "message": _WORDS, "remedy": _WORDS}],
        "reasons": [_said("below_previous", "less than the previous reading", "меньше предыдущего показания")],
        "amount_reasons": [_said("gap", "part of the time has no readings", "часть периода без показаний")],
        "qualities": [_said("good", "good", "достоверно")],
        "sources": [_said("automatic", "automatic", "дистанционно")],
        "contacts": [_said("silent", "the meter does not answer", "прибор не отвечает")],
        "failures": [_said("timeout", "the meter did not answer", "прибор не ответил")],
        "channels": [_said("1.8.1", "active energy, tariff zone T1", "активная энергия, тарифная зона Т1")],
        "units": [_said("kWh", "kWh", "кВт·ч")],
    },
    "getProblemKind": {"code": "point_not_found", "status": 404, "title": _WORDS, "detail": _WORDS},
}
"""What each operation answers, by operation id; held to the declared shapes by a test."""
