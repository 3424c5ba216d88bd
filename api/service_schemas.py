"""The JSON around the cabinet's own: problems, what codes mean, and whether the service is well."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.fields import CHANNEL, DecimalText, Output, SourceName


class Fact(Output):
    """One thing checked for readiness."""

    name: str
    ready: bool
    detail: str


class Readiness(Output):
    """Whether requests can be served now."""

    ready: bool
    checks: list[Fact]


class Alive(Output):
    """The process runs."""

    alive: Literal[True]


class FieldError(Output):
    """One wrong field: where, what came, a stable code, what it means and the remedy."""

    field: str = Field(examples=["values.1.8.1"])
    value: str | None = Field(examples=["-1"])
    code: str = Field(examples=["negative"])
    message: str
    remedy: str


class Words(Output):
    """The same in both languages; braces stand for what differs from case to case."""

    en: str
    ru: str


class ProblemKind(Output):
    """One sort of problem."""

    code: str
    status: int
    title: Words
    detail: Words


class FaultKind(Output):
    """One sort of fault of a field."""

    code: str
    message: Words
    remedy: Words


class CodeWords(Output):
    """One code, and what to show for it."""

    code: str = Field(examples=["below_previous"])
    text: Words


class Dictionary(Output):
    """Every stable code, and its words."""

    problems: list[ProblemKind]
    faults: list[FaultKind]
    reasons: list[CodeWords] = Field(description="why a reading is doubtful")
    amount_reasons: list[CodeWords] = Field(description="what is worth knowing of an amount")
    qualities: list[CodeWords]
    sources: list[CodeWords] = Field(description="how a reading was taken")
    contacts: list[CodeWords] = Field(description="whether the meter answers")
    failures: list[CodeWords] = Field(description="why a meter was not read")
    channels: list[CodeWords] = Field(description="what a register counts; a meter may have others")
    units: list[CodeWords]


class ReasonText(Output):
    """Why a value is doubtful: a stable code, and words in the language asked for."""

    code: str = Field(examples=["below_previous"])
    text: str


class PreviousValue(Output):
    """The last reading of the same register and meter before it that counts."""

    value: DecimalText
    taken_at: datetime
    source: SourceName


class Doubt(Output):
    """A value that is doubted: show the reasons and what was read before (null: nothing that may be seen)."""

    channel: str = Field(pattern=CHANNEL, examples=["1.8.1"])
    value: DecimalText
    unit: str
    reasons: list[ReasonText]
    previous: PreviousValue | None


class ProblemOut(BaseModel):
    """An error as RFC 9457 has it. `code` is stable; texts are in the language of Accept-Language."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = Field(description="a reference that explains the code", examples=["/problems/invalid_request"])
    title: str
    status: int
    code: str = Field(examples=["invalid_request"])
    detail: str
    errors: list[FieldError]
    values: list[Doubt] | None = Field(None, description="of `doubtful` alone: the values that are doubted, and why")
