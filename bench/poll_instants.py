"""How steadily our own collector polls: how far each instant is from the usual moment of its meter.

    python -m bench.poll_instants [--seconds 60]

A hundred meters on connections of their own, then a hundred behind three gateways, simulated in another process and
polled every five seconds. What varies here is what an instant costs in the columnstore (docs/decisions/0024).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta

import uvloop

from bench.figure import Figure, quantile, record
from bench.poll_door import Looking
from bench.poll_meters import SLUG, catalog, served
from collectors.lines import Lines
from collectors.modbus import modbus_link
from ingest.delivery import Delivery
from ingest.instants import micros
from ingest.model import Line, Polled, PolledLine

PERIOD = timedelta(seconds=5)


class _Noting(Looking):
    """A door that notes when each meter was read, in microseconds."""

    def __init__(self) -> None:
        self.instants: defaultdict[str, list[int]] = defaultdict(list)

    def offer(self, delivery: Delivery) -> bool:
        for reading in delivery.readings[:1]:
            self.instants[reading.meter].append(micros(reading.taken_at))
        return True


def fleet(port: int, lines: int, meters: int) -> list[PolledLine]:
    """So many lines to the simulator, with so many meters on each."""
    return [
        PolledLine(
            Line(f"l{line}", "modbus-tcp", f"127.0.0.1:{port}"),
            tuple(Polled(f"i{line:03}{meter:03}", SLUG, str(meter + 1), PERIOD) for meter in range(meters)),
        )
        for line in range(lines)
    ]


def apart(instants: Sequence[int]) -> Iterator[float]:
    """How far each poll of a meter was from its usual moment within the period, in milliseconds; not the first one."""
    period = PERIOD // timedelta(microseconds=1)
    moments = [at % period for at in instants[1:]]
    usual = statistics.median(moments)
    for moment in moments:
        yield abs((moment - usual + period / 2) % period - period / 2) / 1000


async def run(seconds: float) -> None:
    """Both kinds of fleet, one after the other."""
    known = catalog()
    async with served() as port:
        for lines, meters in ((100, 1), (3, 33)):
            door = _Noting()
            async with Lines(door, lambda line: modbus_link(line, known)) as running:
                await running.update(fleet(port, lines, meters))
                await asyncio.sleep(seconds)
            spread = [far for instants in door.instants.values() for far in apart(instants)]
            shares = ", ".join(f"{share:.0%} within {quantile(spread, share):.1f} ms" for share in (0.9, 0.99))
            told = f"instants of {lines} lines with {meters} meters, half within"
            record(Figure(told, quantile(spread, 0.5), "ms", detail=f"{shares}; {len(spread)} polls"))


def main() -> None:
    """`python -m bench.poll_instants`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    uvloop.run(run(parser.parse_args().seconds))


if __name__ == "__main__":
    main()
