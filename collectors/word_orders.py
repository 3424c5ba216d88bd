"""One register's words read in all four orders, for an engineer who does not trust the manual. Pure."""

from __future__ import annotations

from dataclasses import replace

from collectors.decode import decode
from collectors.meter_model import ModelRegister, Order
from ingest.errors import Malformed

ORDERS = {
    "ABCD": (Order.HIGH_FIRST, Order.HIGH_FIRST),
    "CDAB": (Order.LOW_FIRST, Order.HIGH_FIRST),
    "BADC": (Order.HIGH_FIRST, Order.LOW_FIRST),
    "DCBA": (Order.LOW_FIRST, Order.LOW_FIRST),
}
"""Name by the order in which the bytes of 0xABCD… arrive: word order, byte order."""


def readings_by_order(register: ModelRegister, words: bytes) -> tuple[str, ...]:
    """What the words would mean in each order, in the order of ORDERS."""
    return tuple(_reading(register, words, word, byte) for word, byte in ORDERS.values())


def _reading(register: ModelRegister, words: bytes, word: Order, byte: Order) -> str:
    try:
        value = decode(replace(register, word_order=word, byte_order=byte), words)
    except Malformed:
        return "not BCD"
    return "–" if value is None else f"{float(value):.10g}"
