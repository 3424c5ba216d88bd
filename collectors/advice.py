"""What to try next when a line or a meter did not do as it was asked: for the engineer who stands there. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from collectors.line_settings import LineKind, LineSettings
from ingest.errors import AmrError

_OTHER_FRAMES = {
    LineKind.TCP: "a converter that passes RTU frames on wants --kind rtu-over-tcp",
    LineKind.RTU_OVER_TCP: "a gateway that speaks Modbus TCP wants --kind modbus-tcp",
}
_WIRE = "the speed and parity of the line, its pair (A and B changed over?), the meter's power and address"
_ALWAYS: Mapping[str, str] = {
    "busy": "it says that it is busy: ask again in some seconds; somebody else may be reading it",
    "malformed": "look for two meters with one address, another speed or parity, a missing terminator or shield",
    "refused": "it answers, so the line is good: see with `amr meter scan` which models fit it, and which registers "
    "it has with `amr meter registers`, by --function 3 and 4",
}


def advice(error: AmrError, settings: LineSettings | None = None) -> str | None:
    """The next thing to try, None when the error says it itself. `settings` None: a line somebody else speaks on."""
    if error.code == "timeout":
        return _for_silence(settings)
    if error.code == "line_down":
        return _for_a_lost_line(str(error), settings)
    return _ALWAYS.get(error.code)


def _for_silence(settings: LineSettings | None) -> str:
    kind = None if settings is None else settings.kind
    if kind is LineKind.TCP:
        there = "check the unit id and the meter behind the gateway"
        return f"{there}; {_OTHER_FRAMES[kind]}: `amr meter scan` tries both"
    more = "" if kind is None or kind not in _OTHER_FRAMES else f"; {_OTHER_FRAMES[kind]}"
    return f"check {_WIRE}{more}; `amr meter scan` finds who answers"


def _for_a_lost_line(said: str, settings: LineSettings | None) -> str | None:
    if settings is None:
        return "its collector cannot open it: `amr status` says what is at fault, since when, and what to do"
    if "fall silent" in said:
        return "somebody else asks on this wire: look for a second master with `amr line watch --listen`"
    if settings.kind.is_serial:
        return None
    if "is it RTU over TCP" in said:
        return "write --kind rtu-over-tcp"
    if "refused" in said.lower():
        return (
            "the machine is there and nobody listens at that port: is the port right, is the converter set to be a TCP "
            "server, or does it serve one connection only and somebody else has it?"
        )
    if "closed the connection" in said:
        more = _OTHER_FRAMES.get(settings.kind)
        return "perhaps it serves one connection only and somebody else has it" + (f"; {more}" if more else "")
    return f"check its power, its network and the address; try `ping {settings.host}`"
