"""Whether a meter is the one it is taken for: the serial number it states against the one it is known by. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from ingest.delivery import Reject
from ingest.errors import Refused


class Swapped(Refused):
    """Another meter answers at this address: what it says belongs to nobody until the exchange is declared."""

    code = "swapped_meter"


def same_serial(known: str, said: str) -> bool:
    """Labels, papers and registers print one number differently: letters around it, zeros before it, a part of it."""
    one, other = _bare(known), _bare(said)
    return bool(one and other) and (one.endswith(other) or other.endswith(one))


def swapped(known: str, said: str) -> Swapped:
    """What there is to say about a meter that is not the known one."""
    return Swapped(
        f"the meter says it is {said}, not {known}; declare the exchange, or correct the serial number in the fleet; "
        "if this model's register holds another number, set check_serial = false on the line"
    )


def without_owner(known: str, error: Swapped, values: Mapping[str, Decimal]) -> Iterable[Reject]:
    """The values of a meter that is not the known one, kept raw."""
    return (
        Reject(error.code, str(error), f"{channel}={value}".encode(), known, channel)
        for channel, value in values.items()
    )


def _bare(serial: str) -> str:
    digits = "".join(sign for sign in serial if sign.isascii() and sign.isdecimal())
    return digits.lstrip("0")
