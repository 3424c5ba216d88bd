"""Sparkplug B payloads: the published schema, decoded by protobuf (the only import of it), values made exact.

Source: Eclipse Sparkplug 3.0, sections 6.4 (payloads) and 6.4.16 (data types), and sparkplug_b.proto of Eclipse Tahu.
The schema is given here as data, field by field, because it is the part of it that a meter's values need: unknown
fields and the composite values (data sets, templates) are skipped by protobuf itself.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Kind
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from collectors.exact import Unfit

_SIGNED_BITS = {1: 8, 2: 16, 3: 32, 4: 64}
"""Data types Int8 to Int64: their two's complement travels in an unsigned field."""

_METRIC = [
    ("name", 1, Kind.TYPE_STRING),
    ("alias", 2, Kind.TYPE_UINT64),
    ("timestamp", 3, Kind.TYPE_UINT64),
    ("datatype", 4, Kind.TYPE_UINT32),
    ("is_historical", 5, Kind.TYPE_BOOL),
    ("is_transient", 6, Kind.TYPE_BOOL),
    ("is_null", 7, Kind.TYPE_BOOL),
    ("int_value", 10, Kind.TYPE_UINT32),
    ("long_value", 11, Kind.TYPE_UINT64),
    ("float_value", 12, Kind.TYPE_FLOAT),
    ("double_value", 13, Kind.TYPE_DOUBLE),
    ("boolean_value", 14, Kind.TYPE_BOOL),
    ("string_value", 15, Kind.TYPE_STRING),
]
_FIRST_VALUE = 10
_PAYLOAD = [("timestamp", 1, Kind.TYPE_UINT64), ("seq", 3, Kind.TYPE_UINT64)]


def _payload_class() -> Any:
    file = FileDescriptorProto(name="sparkplug_b.proto", package="org.eclipse.tahu.protobuf", syntax="proto2")
    payload = file.message_type.add(name="Payload")
    metric = payload.nested_type.add(name="Metric")
    metric.oneof_decl.add(name="value")
    for name, place, kind in _METRIC:
        field = metric.field.add(name=name, number=place, type=kind, label=Kind.LABEL_OPTIONAL)
        if place >= _FIRST_VALUE:
            field.oneof_index = 0
    for name, place, kind in _PAYLOAD:
        payload.field.add(name=name, number=place, type=kind, label=Kind.LABEL_OPTIONAL)
    payload.field.add(
        name="metrics",
        number=2,
        type=Kind.TYPE_MESSAGE,
        label=Kind.LABEL_REPEATED,
        type_name=".org.eclipse.tahu.protobuf.Payload.Metric",
    )
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("org.eclipse.tahu.protobuf.Payload"))


_Payload = _payload_class()


@dataclass(frozen=True, slots=True)
class Metric:
    """One value. `name` stands in births, later the `alias` may alone; `time` is Unix milliseconds of its capture.

    `kind` is the schema's field the raw value stands in, None when the sender says it has none. What an integer means
    depends on the `datatype`, which may have been told at birth only.
    """

    name: str | None
    alias: int | None
    time: int | None
    datatype: int | None
    kind: str | None
    raw: int | float | str | bool | None

    @property
    def value(self) -> Decimal | str | bool | None:
        """Exact for numbers: a float is the shortest decimal that is this very float."""
        if self.kind == "float_value" and isinstance(self.raw, float):
            return Decimal(shortest_float32(self.raw))
        if self.kind == "double_value":
            return Decimal(repr(self.raw))
        if self.kind in ("int_value", "long_value") and isinstance(self.raw, int):
            return Decimal(_signed(self.raw, _SIGNED_BITS.get(self.datatype or 0)))
        return None if self.kind is None else self.raw  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Payload:
    """One message. `seq` counts 0 to 255 over all messages of an edge node."""

    seq: int | None
    metrics: tuple[Metric, ...]


def decode(payload: bytes) -> Payload:
    """A Sparkplug B payload; Unfit when it is none. A metric without a time has the payload's."""
    message = _Payload()
    try:
        message.ParseFromString(payload)
    except DecodeError as e:
        raise Unfit(
            "malformed", f"the payload is not Sparkplug B ({e}); publish the protobuf schema of Sparkplug 3.0"
        ) from e
    sent = message.timestamp if message.HasField("timestamp") else None
    seq = message.seq if message.HasField("seq") else None
    return Payload(seq, tuple(_metric(metric, sent) for metric in message.metrics))


def _metric(metric: Any, sent: int | None) -> Metric:
    given = {
        name: getattr(metric, name) for name in ("name", "alias", "timestamp", "datatype") if metric.HasField(name)
    }
    kind = None if metric.is_null else metric.WhichOneof("value")
    raw = None if kind is None else getattr(metric, kind)
    return Metric(given.get("name"), given.get("alias"), given.get("timestamp", sent), given.get("datatype"), kind, raw)


def _signed(value: int, bits: int | None) -> int:
    if bits is None:
        return value
    value &= (1 << bits) - 1
    return value - (value >> (bits - 1) << bits)


def shortest_float32(value: float) -> str:
    """The shortest decimal that is this very float32: 0.1 for the double 0.10000000149011612 a float32 arrives as."""
    for digits in range(6, 9):
        text = f"{value:.{digits}g}"
        try:
            if struct.unpack("<f", struct.pack("<f", float(text)))[0] == value:
                return text
        except OverflowError:
            continue
    return f"{value:.9g}"


def rebirth() -> bytes:
    """The payload of a node command that asks an edge node to be born again."""
    message = _Payload()
    message.metrics.add(name="Node Control/Rebirth", datatype=11, boolean_value=True)
    return bytes(message.SerializeToString())
