"""Every code this service answers with, and its words: what the `type` of a problem leads to."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Response

from api import words
from api.answers import json_answer
from api.fault_texts import FAULTS
from api.faults import echo
from api.kinds import KINDS
from api.problems import Problem
from api.request_texts import FAILURES
from api.responses import open_errors
from api.service_schemas import Dictionary, ProblemKind
from api.texts import Text

router = APIRouter(tags=["codes"])
_WORDS: Mapping[str, Mapping[str, Text]] = {
    "reasons": words.REASONS,
    "amount_reasons": words.AMOUNT_REASONS,
    "qualities": words.QUALITIES,
    "sources": words.SOURCES,
    "contacts": words.CONTACTS,
    "failures": FAILURES,
    "channels": words.CHANNELS,
    "units": words.UNITS,
}
_FOREVER = {"Cache-Control": "public, max-age=3600"}


@router.get("/problems", operation_id="listCodes", summary="All stable codes", response_model=Dictionary)
async def list_codes() -> Response:
    """Every code there is in answers, with the words to show for it in both languages: of problems, of faults of single
    fields, of reasons to doubt a reading and of what is worth knowing of an amount, of qualities, sources and contacts,
    of failures, channels and units. A program fetches them once.

    Braces stand for what differs from case to case. A code that is not here is new: show it as it is.
    """
    faults = [
        {"code": code, "message": _both(fault.message), "remedy": _both(fault.remedy)} for code, fault in FAULTS.items()
    ]
    kinds = [_kind(code) for code in KINDS]
    lists = {name: [{"code": code, "text": _both(text)} for code, text in one.items()] for name, one in _WORDS.items()}
    return json_answer({"problems": kinds, "faults": faults, **lists}, headers=_FOREVER)


@router.get(
    "/problems/{code}",
    operation_id="getProblemKind",
    summary="What one code of a problem means",
    response_model=ProblemKind,
    responses=open_errors(404),
)
async def get_kind(code: str) -> Response:
    """The status and the words of one problem."""
    if code not in KINDS:
        raise Problem("not_found", what=echo(f"/problems/{code}"))
    return json_answer(_kind(code), headers=_FOREVER)


def _kind(code: str) -> dict[str, object]:
    kind = KINDS[code]
    return {"code": code, "status": kind.status, "title": _both(kind.title), "detail": _both(kind.detail)}


def _both(text: Text) -> dict[str, str]:
    return {"en": text.en, "ru": text.ru}
