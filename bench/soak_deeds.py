"""Doing a fault of the plan and undoing it, and remembering when it was."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench.soak_house import House
from bench.soak_plan import Fault


@dataclass(frozen=True, slots=True)
class Deed:
    """A fault that was done, from when until when."""

    fault: Fault
    since: datetime
    until: datetime


class Deeds:
    """Does the faults of a plan, each in its own time."""

    def __init__(self, house: House) -> None:
        self.done: list[Deed] = []
        self._house = house
        self._broker = asyncio.Lock()

    async def run(self, plan: list[Fault]) -> None:
        """All of them; returns when the last is undone."""
        begun = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            for fault in plan:
                await asyncio.sleep(max(0.0, begun + fault.at - asyncio.get_running_loop().time()))
                tasks.create_task(self._do(fault))

    async def _do(self, fault: Fault) -> None:
        since = datetime.now(UTC)
        if await self._way(fault)(fault) is not False:
            self.done.append(Deed(fault, since, datetime.now(UTC)))

    def _way(self, fault: Fault) -> Callable[[Fault], Coroutine[Any, Any, bool | None]]:
        kind = fault.kind
        if kind in ("kill -9", "SIGTERM", "SIGSTOP"):
            return self._part
        if kind.startswith("database"):
            return self._database
        if kind.startswith("broker"):
            return self._broken_broker
        if kind.startswith("network"):
            return self._network
        return {"disk full": self._disk, "power cut": self._power, "clock step": self._clock, "meter": self._meter}[
            kind
        ]

    async def _part(self, fault: Fault) -> bool | None:
        part = self._house.parts[fault.target]
        async with part._moving:
            if part.process is None or part.process.poll() is not None:
                return False
            if fault.kind == "SIGSTOP":
                part.send(signal.SIGSTOP)
                await asyncio.sleep(fault.length)
                part.send(signal.SIGCONT)
                return None
            await (part.terminate() if fault.kind == "SIGTERM" else part.kill())
            await asyncio.sleep(fault.length / 2)
            part.start()
            return None

    async def _power(self, fault: Fault) -> bool | None:
        """The substation without its network, then without power; it comes back without its network, and polls."""
        part, proxy = self._house.parts["collector"], self._house.proxies["collector-database"]
        async with part._moving:
            proxy.cut()
            await asyncio.sleep(fault.length)
            await part.kill()
            await asyncio.to_thread(self._house.power_cut)
            await asyncio.sleep(0.5)
            part.start()
        await asyncio.sleep(fault.value)
        proxy.mend()
        return None

    async def _database(self, fault: Fault) -> bool | None:
        if fault.kind == "database SIGSTOP":
            pids = self._house.backends()
            _signal(pids, signal.SIGSTOP)
            await asyncio.sleep(fault.length)
            _signal(pids, signal.SIGCONT)
            return None
        pid = self._house.postmaster()
        if pid is None:
            return False
        _signal([pid], signal.SIGKILL if fault.kind.endswith("-9") else signal.SIGINT)  # its guard starts it again
        await asyncio.sleep(fault.length)
        return None

    async def _broken_broker(self, fault: Fault) -> bool | None:
        broker = self._house.broker
        async with self._broker:
            if fault.kind == "broker SIGSTOP":
                _signal([broker.pid], signal.SIGSTOP)
                await asyncio.sleep(fault.length)
                _signal([broker.pid], signal.SIGCONT)
                return None
            await (broker.kill() if fault.kind.endswith("-9") else broker.stop())
            await asyncio.sleep(fault.length / 2)
            await broker.start()
            return None

    async def _network(self, fault: Fault) -> bool | None:
        proxy = self._house.proxies[fault.target]
        if fault.kind == "network cut":
            proxy.cut()
        elif fault.kind == "network freeze":
            proxy.freeze()
        else:
            proxy.delay = fault.value
        await asyncio.sleep(fault.length)
        proxy.mend()
        return None

    async def _disk(self, fault: Fault) -> bool | None:
        """A full disk means nothing while the database takes everything: it is cut off meanwhile."""
        proxy = self._house.proxies["collector-database"]
        if not await asyncio.to_thread(self._house.fill_disk):
            return False
        proxy.cut()
        await asyncio.sleep(fault.length)
        proxy.mend()
        await asyncio.to_thread(self._house.empty_disk)
        return None

    async def _clock(self, fault: Fault) -> bool | None:
        await asyncio.to_thread(self._house.clock_file.write_text, str(fault.value))
        await asyncio.sleep(fault.length)
        await asyncio.to_thread(self._house.clock_file.write_text, "0")
        return None

    async def _meter(self, fault: Fault) -> bool | None:
        units = list(self._house.street.units.values())
        share, kind = fault.target.split(" ")
        unit = units[int(float(share) * len(units))]
        unit.break_with(kind, every=int(fault.value))
        await asyncio.sleep(fault.length)
        unit.mend()
        return None


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
