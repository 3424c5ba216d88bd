"""What Sparkplug B edge nodes said at birth: names behind aliases, and the sequence that shows what was missed.

State, but no clock of its own and no I/O. Source: Eclipse Sparkplug 3.0, sections 6.4.6 (NBIRTH: seq 0, aliases) and
5.16 (a host that misses a number asks for a rebirth).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from collectors.sparkplug import Metric, Payload

MOST_NODES = 10_000
MOST_ALIASES = 100_000
"""Remembered of one node; the oldest of more are forgotten, and asked for again when they are used."""
MOST_TOGETHER = 1_000_000
"""Remembered of all nodes, about 300 bytes each; then a whole node is forgotten for the next."""

BETWEEN_REBIRTHS = 30.0
"""Seconds between two requests to one edge node: it may have thousands of metrics to say again."""


@dataclass(slots=True)
class _Node:
    aliases: dict[int, Metric] = field(default_factory=dict)
    seq: int | None = None
    asked_at: float | None = None


class Births:
    """The edge nodes of one namespace."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}
        self._aliases = 0

    def learn(self, node: str, kind: str, payload: Payload, now: float) -> bool:
        """Take note of one message (`kind` like DDATA); True when the node must be asked for a rebirth."""
        if node not in self._nodes and len(self._nodes) >= MOST_NODES:
            self._forget_one()
        known = self._nodes.setdefault(node, _Node())
        if kind in ("NBIRTH", "DBIRTH"):
            self._born(known, payload, anew=kind == "NBIRTH")
        expected = None if known.seq is None else (known.seq + 1) % 256
        gap = kind not in ("NBIRTH", "NDEATH") and payload.seq != expected
        unknown = any(metric.name is None and metric.alias not in known.aliases for metric in payload.metrics)
        if kind != "NDEATH":  # its seq is that of the birth it belongs to, set as the will long before
            known.seq = payload.seq
        return (gap or unknown) and self._may_ask(known, now)

    def _born(self, known: _Node, payload: Payload, *, anew: bool) -> None:
        """Remember what the aliases of a birth stand for, within bounds."""
        self._aliases -= len(known.aliases)
        if anew:
            known.aliases.clear()
        known.aliases |= {metric.alias: metric for metric in payload.metrics if metric.alias is not None}
        while len(known.aliases) > MOST_ALIASES:
            known.aliases.pop(next(iter(known.aliases)))
        self._aliases += len(known.aliases)
        while self._aliases > MOST_TOGETHER and len(self._nodes) > 1:
            self._forget_one(keep=known)

    def _forget_one(self, keep: _Node | None = None) -> None:
        """The node that is known longest."""
        oldest = next(name for name, known in self._nodes.items() if known is not keep)
        self._aliases -= len(self._nodes.pop(oldest).aliases)

    def named(self, node: str, metric: Metric) -> Metric | None:
        """The metric with the name and type told at its birth; None when its alias was never told."""
        known = self._nodes.get(node)
        born = known.aliases.get(metric.alias) if known and metric.alias is not None else None
        if metric.name is None and born is None:
            return None
        if born is None:
            return metric
        return replace(metric, name=metric.name or born.name, datatype=metric.datatype or born.datatype)

    @staticmethod
    def _may_ask(node: _Node, now: float) -> bool:
        if node.asked_at is not None and now - node.asked_at < BETWEEN_REBIRTHS:
            return False
        node.asked_at = now
        return True
