"""What the simulated meters themselves saw: every request, and whether it was answered as a healthy meter answers."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from datetime import UTC, datetime

from simulators.street import RunningStreet
from simulators.unit import Unit

LATE = 0.2
"""Seconds by which the meters and proxies, which share one loop, may be late before it is noted."""

Request = tuple[float, bytes]
"""When (UTC seconds), and the question."""


class Watched:
    """Listens at the meters. Instants are seconds since 1970, of the true clock."""

    def __init__(self) -> None:
        self.asked: dict[str, list[float]] = defaultdict(list)
        self.late: list[tuple[float, float]] = []
        """Stretches in which we were starved, and with us every meter and network: who gave up on one was right."""
        self._answered: dict[str, list[Request]] = defaultdict(list)

    def follow(self, running: RunningStreet) -> None:
        """Listen from now on."""
        for serial, unit in running.units.items():
            self._listen(serial, unit)

    async def mind_ourselves(self) -> None:
        """Note when nothing here got its turn; until cancelled."""
        while True:
            begun = time.time()
            await asyncio.sleep(0.05)
            if time.time() - begun > LATE:
                self.late.append((begun, time.time()))

    def _listen(self, serial: str, unit: Unit) -> None:
        fault, answer = unit.fault, unit.answer
        asked, answered = self.asked[serial], self._answered[serial]

        def noted_fault() -> object:
            met = fault()
            asked.append(time.time())
            if met is not None:
                answered.append((time.time(), b""))
            return met

        def noted_answer(pdu: bytes) -> bytes:
            reply = answer(pdu)
            if reply[0] < 0x80 and not (answered and answered[-1][0] == asked[-1]):
                answered.append((time.time(), pdu))
            return reply

        unit.fault, unit.answer = noted_fault, noted_answer  # type: ignore[method-assign, assignment]

    def polls(self, serial: str) -> list[float]:
        """When each poll was answered whole: every question of the meter's plan, one after another, without a fault."""
        heard = self._answered[serial]
        often = Counter(pdu for _, pdu in heard if pdu)
        if not often:
            return []
        most = max(often.values())
        cycle = [pdu for pdu in dict.fromkeys(pdu for _, pdu in heard) if pdu and often[pdu] > most / 2]
        found, place, begun = [], 0, 0.0
        for at, pdu in heard:
            if place and pdu == cycle[place] and at - begun < 5:
                place += 1
            elif pdu == cycle[0]:
                place, begun = 1, at
            else:
                place = 0
            if place == len(cycle):
                found.append(begun)
                place = 0
        return found

    def asked_between(self, serial: str, since: float, until: float) -> int:
        """Questions in [since, until)."""
        asked = self.asked[serial]
        return bisect_right(asked, until) - bisect_left(asked, since)


def instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
