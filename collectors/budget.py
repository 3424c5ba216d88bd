"""What a schedule costs a line: does it fit, how often could it be asked, and what does a dead meter take. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from collectors.line_settings import LineSettings
from collectors.meter_model import Model
from collectors.patience import Health, Patience
from collectors.plan import plan
from collectors.serial_budget import poll_time, silence
from collectors.serial_model import SerialModel

BUSY_SHARE = 0.8
"""A line planned fuller than this has no room for repeats, probes and questions."""

_HOUR = timedelta(hours=1)
_TURNAROUND = 0.02
_TCP_ROUND_TRIP = 0.005


@dataclass(frozen=True, slots=True)
class Load:
    """So many meters of one model, asked every `period`."""

    model: Model | SerialModel
    meters: int
    period: timedelta


@dataclass(frozen=True, slots=True)
class Cost:
    """One model on the line: reads (or exchanges) a poll, seconds a poll, and seconds lost on a silent one."""

    load: Load
    reads: int
    seconds: float
    silence: float

    @property
    def share(self) -> float:
        """Of the line's time, when all answer."""
        return self.load.meters * self.seconds / self.load.period.total_seconds()


@dataclass(frozen=True, slots=True)
class Budget:
    """The whole line. Shares are of its time, 1 is all of it."""

    costs: Sequence[Cost]
    dead: int

    @property
    def share(self) -> float:
        """When all answer."""
        return sum(cost.share for cost in self.costs)

    @property
    def round_time(self) -> float:
        """Seconds to ask every meter once."""
        return sum(cost.load.meters * cost.seconds for cost in self.costs)

    @property
    def dead_tries(self) -> tuple[int, int]:
        """How often a dead meter is tried in its first hour, and in an hour of the next day."""
        slowest = max(self.costs, key=lambda cost: cost.load.period)
        return tries_of_a_dead_meter(slowest.load.period)

    @property
    def dead_share(self) -> tuple[float, float]:
        """What the dead meters take of the line in the first hour and later, beyond what they take alive."""
        first, later = self.dead_tries
        worst = max(cost.silence for cost in self.costs)
        return self.dead * first * worst / 3600, self.dead * later * worst / 3600

    @property
    def fits(self) -> bool:
        """Also in the first hour of the dead ones, with room left."""
        return self.share + self.dead_share[0] <= BUSY_SHARE


def budget(settings: LineSettings, loads: Sequence[Load], dead: int = 0) -> Budget:
    """What these meters cost a line of these settings; `dead` of them do not answer."""
    return Budget([_cost(settings, load) for load in loads], dead)


def _cost(settings: LineSettings, load: Load) -> Cost:
    model = load.model
    if isinstance(model, SerialModel):
        reads, seconds = poll_time(settings, model, load.period)
        return Cost(load, reads, seconds, silence(settings, model, load.period))
    blocks = plan(model.registers, settings.cost, min(model.max_registers, settings.max_registers), model.max_gap)
    thinking = _TCP_ROUND_TRIP if settings.character == 0 else _TURNAROUND
    pause = settings.frame_pause(model.pause)
    seconds = sum(settings.frame_time(2 * block.count) + thinking + pause for block in blocks)
    patience = (settings.timeout or model.timeout) + settings.frame_time(2 * blocks[0].count)
    return Cost(load, len(blocks), seconds, patience + (settings.quiet if settings.character else 0.0))


def tries_of_a_dead_meter(period: timedelta, patience: Patience | None = None) -> tuple[int, int]:
    """How often it is tried in the first hour and in the 24th, by the rules the owner of a line goes by."""
    health = Health(patience or Patience(), lambda: 0.5)
    begin = now = datetime(2001, 1, 1, tzinfo=UTC)
    counted = [0] * 24
    while now < begin + 24 * _HOUR:
        counted[(now - begin) // _HOUR] += 1
        again = health.failed(now)
        now += again if health.off else min(again, period)
    return counted[0], counted[-1]
