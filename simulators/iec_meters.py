"""Meters that speak IEC 62056-21: what CE102M, CE303 and НЕВА MT3xx answer to which name. No I/O.

Written from the makers' descriptions and from recorded traffic on their own, apart from any driver. A name's value is
its printed data sets; None is the model's own error for what it does not know.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from simulators.breakable import Breakable
from simulators.clock import Clock
from simulators.faults import Fault
from simulators.memory import Display, at_midnight
from simulators.meter import Meter

Values = Mapping[str, Decimal]
ZONES = ("1.8.0", "1.8.1", "1.8.2", "1.8.3", "1.8.4")
_SESSION = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class IecModel:
    """One model: its greeting, its check, how it prints, and its names."""

    slug: str
    maker: str
    name: str
    bcc: str
    error: str
    names: Mapping[str, tuple[tuple[str, ...], str, str]]  # name: channels, step of the display, way of printing
    archives: bool = False
    resolution: Decimal = Decimal("0.01")
    phases: int = 1


def ce102m() -> IecModel:
    single = {"VOLTA": "32.7.0", "CURRE": "31.7.0", "FREQU": "14.7.0", "COS_f": "13.7.0"}
    names = {
        name: ((channel,), "0.001" if name in ("CURRE", "COS_f") else "0.01", "sets")
        for name, channel in single.items()
    }
    return IecModel(
        "energomera-ce102m",
        "EKT",
        "CE102Mv01",
        "sum",
        "ERR12",
        {**names, "ET0PE": ((*ZONES, ""), "0.01", "sets"), "POWEP": (("1.7.0",), "kW", "sets")},
    )


def ce303() -> IecModel:
    six = (*ZONES, "")
    return IecModel(
        "energomera-ce303",
        "EKT",
        "CE303v11.8s4",
        "sum",
        "ERR12",
        {
            "ET0PE": (six, "0.0000001", "named"),
            "ET0PI": (("2.8.0", "", "", "", "", ""), "0.0000001", "named"),
            "ET0QE": (("3.8.0", "", "", "", "", ""), "0.0000001", "named"),
            "ET0QI": (("4.8.0", "", "", "", "", ""), "0.0000001", "named"),
            "VOLTA": (("32.7.0", "52.7.0", "72.7.0"), "0.01", "named"),
            "CURRE": (("31.7.0", "51.7.0", "71.7.0"), "0.001", "named"),
            "POWEP": (("1.7.0",), "kW", "named"),
            "FREQU": (("14.7.0",), "0.01", "named"),
        },
        archives=True,
        resolution=Decimal("0.0001"),
        phases=3,
    )


def neva_mt3xx() -> IecModel:
    return IecModel(
        "neva-mt3xx",
        "TPC",
        "NEVAMT324.2307",
        "xor",
        "01",
        {
            "0F0880FF": (ZONES, "0.01", "comma"),
            "100700FF": (("1.7.0",), "0.1", "comma"),
            "200700FF": (("32.7.0",), "0.01", "comma"),
            "340700FF": (("52.7.0",), "0.01", "comma"),
            "480700FF": (("72.7.0",), "0.01", "comma"),
            "0E0701FF": (("14.7.0",), "0.01", "comma"),
        },
        phases=3,
    )


class IecMeter(Breakable):
    """One meter with its address and password. It forgets a session that rests for 3 s."""

    def __init__(
        self,
        meter: Meter,
        model: IecModel,
        clock: Clock,
        scenario: Sequence[Fault] = (),
        *,
        address: str = "",
        password: str = "777777",
        speed: int = 9600,
        off: Sequence[date] = (),
    ) -> None:
        super().__init__(clock, scenario)
        self.meter = meter
        self.model = model
        self._display = Display(meter)
        self.address = address or meter.serial
        self.password = password
        self.speed = speed
        self.off = frozenset(off)
        self.openings = 0
        self._heard_at: datetime | None = None

    def touch(self) -> None:
        """Something was said in the session."""
        self._heard_at = self.clock.now()

    def forget(self) -> None:
        """As if its session had rested too long."""
        self._heard_at = None

    @property
    def forgot(self) -> bool:
        """Whether the session has rested too long."""
        return self._heard_at is None or self.clock.now() - self._heard_at > _SESSION

    def read(self, name: str, argument: str) -> str | None:
        """The data sets of a name as printed; None: not known."""
        now = self.clock.now()
        wall = self.meter.clock(now)
        if found := self._plain(name, wall):
            return found
        if name in ("ENDPE", "ENMPE") and self.model.archives:
            return self._archive(name, argument, wall.date())
        if name not in self.model.names or argument:
            return None
        return self._printed(name, name, self._display.at(now))

    def readout(self) -> str:
        """All registers, a line each."""
        values = self._display.at(self.clock.now())
        lines = [f"0.0.0({self.meter.serial})", *(f"{c}({values[c]:010.3f}*kWh)" for c in ZONES if c in values)]
        return "".join(f"{line}\r\n" for line in lines) + "!\r\n"

    def _plain(self, name: str, wall: datetime) -> str | None:
        weekday, serial = wall.isoweekday() % 7, self.meter.serial_at(self.clock.now())
        own: Mapping[str, Callable[[], str]] = {
            "SNUMB": lambda: f"SNUMB({serial})\r\n",
            "DATE_": lambda: f"DATE_({weekday:02d}.{wall:%d.%m.%y})\r\n",
            "TIME_": lambda: f"TIME_({wall:%H:%M:%S})\r\n",
        }
        if self.model.bcc == "xor":
            own = {
                "600100FF": lambda: f"600100FF({serial})",
                "000902FF": lambda: f"000902FF({wall:%y%m%d})",
                "000901FF": lambda: f"000901FF({wall:%H%M%S})",
            }
        return own[name]() if name in own else None

    def _archive(self, name: str, argument: str, today: date) -> str:
        """Registers at the end of a day (dd.mm.yy) or of a month (mm.yy)."""
        try:
            parts = [int(part) for part in argument.split(".")]
            day = date(2000 + parts[-1], parts[-2], parts[0] if name == "ENDPE" else 28)
        except (ValueError, IndexError):
            return f"{name}(ERR17)\r\n"
        end = day + timedelta(days=1) if name == "ENDPE" else (day + timedelta(days=4)).replace(day=1)
        age = (today - end).days
        if end > today or end in self.off or age > (44 if name == "ENDPE" else 366):
            return f"{name}(ERR18)\r\n"
        return self._printed("ET0PE", name, at_midnight(self.meter, end))

    def _printed(self, name: str, said: str, values: Values) -> str:
        channels, step, way = self.model.names[name]
        shown = [_shown(values.get(channel, Decimal(0)), step) for channel in channels]
        if way == "comma":
            return f"{said}({','.join(shown)})"
        if way == "named":
            return "".join(f"{said}({one})\r\n" for one in shown)
        return said + "".join(f"({one})\r\n" for one in shown)


def _shown(value: Decimal, step: str) -> str:
    if step == "kW":
        return f"{value / 1000:.4f}"
    cut = value // Decimal(step) * Decimal(step) if value >= 0 else value
    return f"{cut:f}" if cut else "0.00"
