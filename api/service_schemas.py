"""The JSON around the cabinet's own: problems, what codes mean, and whether the service is well."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.fields import Output


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


class ProblemOut(BaseModel):
    """An error as RFC 9457 has it. `code` is stable; texts are in the language of Accept-Language."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = Field(description="a reference that explains the code", examples=["/problems/invalid_request"])
    title: str
    status: int
    code: str = Field(examples=["invalid_request"])
    detail: str
    errors: list[FieldError]
