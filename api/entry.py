"""Readings typed in by people: checked against the meter, judged beside what is stored, answered with the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from fastapi import APIRouter, Request, Response

from api.access import Entering, everything, see
from api.answers import SAID, json_answer, maybe_local, plain
from api.billing import billing_json
from api.context import Context, Here
from api.doorkeeper import Caller, Role
from api.doubts import doubtful
from api.entry_schemas import Submission, Submitted
from api.faults import Fault
from api.language import LANGUAGES, language_of
from api.once import IdempotencyKey, once
from api.problems import Problem, invalid
from api.responses import errors
from api.route import CabinetRoute
from api.texts import Language, Text
from api.words import REASONS
from ingest.channel import is_counter, unit_of
from ingest.delivery import Delivery, Fate, Outcome, Verdict
from ingest.model import Reading, Register, Source
from storage import points
from storage.points import Seen, Standing
from storage.request_states import answer_manual

router = APIRouter(tags=["readings"], route_class=CabinetRoute)
_MOST_DIGITS = 12


@router.post(
    "/points/{code}/readings",
    status_code=201,
    operation_id="submitReadings",
    summary="Type in readings",
    response_model=Submitted,
    responses={
        **errors(400, 404, 409, 413),
        200: {"model": Submitted, "description": "Exactly this was stored before; nothing changed."},
    },
)
async def submit(
    code: str,
    submission: Submission,
    request: Request,
    here: Here,
    caller: Entering,
    key: IdempotencyKey = None,
) -> Response:
    """All zones of a meter in one request, as its display showed them at `taken_at`.

    Doubtful values are answered with 409, the reasons and the reading before them in `values`; the same with `confirm`
    true stores them as suspect. A second value for the same time supersedes the first, which stays in history.
    `billing` says which month it is counted to: a reading outside the submission window is kept like any other.
    """
    return await once(here, caller, key, request, lambda: _submit(code, submission, language_of(request), here, caller))


async def _submit(code: str, submission: Submission, language: Language, here: Context, caller: Caller) -> Response:
    async with here.look() as conn:
        seen = await see(conn, caller, code)
        _check_contract(seen, submission.taken_at)
        meter = await points.standing(conn, code, submission.taken_at)
    zone = seen.point.tz
    if meter is None:
        raise Problem("no_meter", point=code, taken_at=submission.taken_at.astimezone(zone).isoformat())
    _check_values(meter, submission.values)
    source = Source.CONSUMER if caller.role is Role.CONSUMER else Source.OPERATOR
    readings = [
        Reading(meter.meter, channel, submission.taken_at, value, source, None, caller.author, submission.note)
        for channel, value in submission.values.items()
    ]
    outcome = await here.intake.accept(Delivery(f"api:{caller.name}", readings), doubtful=submission.confirm)
    values = _values(readings, outcome.verdicts, language)
    _refuse_quarantined(outcome)
    if not outcome.stored:
        raise await doubtful(here, seen, meter.meter, submission.taken_at, values)
    answered = await _answer_requests(here, caller, code, submission.taken_at)
    answer = {
        "point": code,
        "meter": meter.meter,
        "taken_at": submission.taken_at.astimezone(zone),
        "source": source.label,
        "author": caller.author,
        "values": values,
        "billing": billing_json(here, seen.point, language),
        "missing": _missing(meter, submission.values),
        "answered_requests": answered,
    }
    repeated = all(verdict.fate is Fate.REPEATED for verdict in outcome.verdicts)
    return json_answer(answer, 200 if repeated else 201, SAID)


async def _answer_requests(here: Context, caller: Caller, code: str, taken_at: datetime) -> list[int]:
    """What staff read at a meter answers whoever asked for it; typed in again, it does so if it did not before."""
    if not caller.staff:
        return []
    async with here.page() as conn:
        return await answer_manual(conn, code, taken_at, caller.name)


def _check_contract(seen: Seen, taken_at: datetime) -> None:
    """Raise the 422 naming the dates of the contract when the instant is not within them."""
    if any(part.since <= taken_at < part.until for part in everything(seen)):
        return
    zone = seen.point.tz
    periods = [_period(since.astimezone(zone), maybe_local(until, zone)) for since, until in seen.periods or ()]
    contract = Text(*("; ".join(period.plain(language) for period in periods) for language in LANGUAGES))
    raise invalid(Fault("taken_at", taken_at.astimezone(zone).isoformat(), "outside_contract", contract=contract))


def _period(since: datetime, until: datetime | None) -> Text:
    if until is None:
        return Text(f"from {since.isoformat()}", f"с {since.isoformat()}")
    return Text(f"{since.isoformat()} … {until.isoformat()}", f"{since.isoformat()} … {until.isoformat()}")


def _check_values(meter: Standing, values: Mapping[str, Decimal]) -> None:
    """Raise one 422 naming every value that no display of this meter can show."""
    registers = {register.channel: register for register in meter.registers if is_counter(register.channel)}
    faults = [
        found
        for channel, value in values.items()
        if (found := _fault(channel, value, registers.get(channel), list(registers))) is not None
    ]
    if faults:
        raise invalid(*faults)


def _missing(meter: Standing, values: Mapping[str, Decimal]) -> list[str]:
    """The zones beside those that were sent: of the same quantity, and not its total."""
    zoned = {channel.rpartition(".")[0] for channel in values if not channel.endswith(".0")}
    zones = [one.channel for one in meter.registers if is_counter(one.channel) and not one.channel.endswith(".0")]
    return [channel for channel in zones if channel.rpartition(".")[0] in zoned and channel not in values]


def _fault(channel: str, value: Decimal, register: Register | None, known: Sequence[str]) -> Fault | None:
    field, came = f"values.{channel}", format(value, "f")
    if register is None:
        code = "unknown_channel" if channel.split(".")[1] == "8" else "not_a_counter"
        return Fault(field, came, code, known=", ".join(known) or "-")
    digits = register.digits or _MOST_DIGITS
    if value >= Decimal(10) ** digits:
        return Fault(field, came, "too_many_digits", digits=digits)
    if value != round(value, register.decimals):
        return Fault(field, came, "too_many_decimals", decimals=register.decimals)
    return None


def _values(readings: Sequence[Reading], verdicts: Sequence[Verdict], language: Language) -> list[dict[str, object]]:
    return [
        {
            "channel": reading.channel,
            "value": plain(reading.value),
            "unit": unit_of(reading.channel),
            "fate": verdict.fate.value,
            "quality": verdict.quality.label,
            "reasons": [{"code": code, "text": REASONS[code].say(language)} for code in verdict.reasons.labels],
        }
        for reading, verdict in zip(readings, verdicts, strict=True)
    ]


def _refuse_quarantined(outcome: Outcome) -> None:
    """Raise 422 when a value could not be taken at all."""
    refused = [verdict for verdict in outcome.verdicts if verdict.fate is Fate.QUARANTINED]
    if refused:
        raise Problem("quarantined", reason=refused[0].detail)
