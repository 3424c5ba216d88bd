"""The far end of a line with IEC 62056-21 meters: greeting, speed, password, reads, readout, end of session. Pure.

Only the meter that was called by its address talks until its session ends or rests too long; the others wait.
A client that adds parity to 8-bit characters is answered the same way.
"""

from collections.abc import Sequence

from simulators.faults import Fault, Kind
from simulators.framing import Reply
from simulators.iec_frames import ACK, BAUDS, ETX, NAK, SOH, SPEEDS, STX, check, even, framed, is_even
from simulators.iec_meters import IecMeter


class IecStation:
    """Meters by their address. `baud` is the speed of the line now: it changes with a session."""

    def __init__(self, meters: Sequence[IecMeter], *, initial: int = 9600) -> None:
        self._meters = tuple(meters)
        self._initial = initial
        self.baud = initial
        self._heard = b""
        self._parity = False
        self._talking: IecMeter | None = None
        self._entered = False

    def hear(self, data: bytes) -> list[Reply]:
        """Answer every whole line or block; what is none is dropped when the line falls silent."""
        if any(byte & 0x80 for byte in data):
            if not is_even(data):
                return []
            self._parity = True
        self._heard += bytes(byte & 0x7F for byte in data)
        replies: list[Reply] = []
        while (end := self._end()) > 0:
            said, self._heard = self._heard[:end], self._heard[end:]
            if reply := self._answer(said):
                replies.append(reply)
            self._parity = False
        return replies

    def silence(self) -> None:
        """A pause ends a line."""
        self._heard = b""

    def _end(self) -> int:
        """Where the first whole line or block ends; 0: nowhere yet. A greeting begins anew, whatever was heard."""
        self._heard = self._heard[max(self._heard.rfind(b"/?"), 0) :]
        starts = [at for at in (self._heard.find(one) for one in (b"/", ACK, SOH)) if at >= 0]
        if not starts:
            return 0
        self._heard = self._heard[min(starts) :]
        if self._heard[:1] == SOH:
            end = self._heard.find(ETX)
            return end + 2 if 0 < end < len(self._heard) - 1 else 0
        return self._heard.find(b"\r\n") + 2 if b"\r\n" in self._heard else 0

    def _answer(self, said: bytes) -> Reply | None:
        if self._talking is not None and self._talking.forgot:
            self._leave()
        if said[:1] == b"/":
            return self._greet(said)
        meter = self._talking
        if meter is None:
            return None
        meter.touch()
        if said[:1] == ACK:
            return self._begin(meter, said)
        block = said[1:-2]
        if check(said[1:-1], meter.model.bcc) != said[-1:]:
            return self._reply(meter, NAK)
        return self._command(meter, block)

    def _greet(self, said: bytes) -> Reply | None:
        if not said.startswith(b"/?") or not said.endswith(b"!\r\n") or self._talking is not None:
            return None
        address = said[2:-3].decode("ascii", "replace")
        meter = next((one for one in self._meters if address in ("", one.address)), None)
        if meter is None:
            return None
        self._talking, self._entered = meter, False
        meter.touch()
        model, code = meter.model, SPEEDS[meter.speed]
        return self._reply(meter, f"/{model.maker}{code}{model.name}\r\n".encode("ascii"))

    def _begin(self, meter: IecMeter, said: bytes) -> Reply | None:
        speed, mode = chr(said[2]), chr(said[3])
        if BAUDS.get(speed) == meter.speed:
            self.baud = meter.speed
        if mode == "0":
            text = meter.readout().encode("ascii")
            self._talking = None
            return self._reply(meter, framed(STX, text, meter.model.bcc))
        return self._reply(meter, framed(SOH, f"P0\x02({meter.address})".encode("ascii"), meter.model.bcc))

    def _command(self, meter: IecMeter, block: bytes) -> Reply | None:
        kind, _, rest = block.partition(STX)
        if kind == b"B0":
            self._leave()
            return None
        if kind == b"P1":
            if rest != f"({meter.password})".encode("ascii"):
                self._leave()
                return self._reply(meter, framed(SOH, b"B0", meter.model.bcc))
            self._entered = True
            meter.openings += 1
            return self._reply(meter, ACK)
        if kind != b"R1" or not self._entered:
            return self._reply(meter, framed(STX, f"({meter.model.error})".encode("ascii"), meter.model.bcc))
        name, _, argument = rest.decode("ascii", "replace").rstrip(")").partition("(")
        found = meter.read(name, argument)
        text = f"({meter.model.error})" if found is None else found
        return self._reply(meter, framed(STX, text.encode("ascii"), meter.model.bcc))

    def _leave(self) -> None:
        self._talking, self._entered, self.baud = None, False, self._initial

    def _reply(self, meter: IecMeter, frame: bytes) -> Reply | None:
        fault = meter.fault()
        if fault is not None and fault.kind is Kind.DEAD:
            self._leave()
            return None
        sent = even(frame) if self._parity else frame
        return Reply(sent) if fault is None else _damaged(sent, fault, meter.model.bcc)


def _damaged(frame: bytes, fault: Fault, bcc: str) -> Reply:
    middle = len(frame) // 2
    match fault.kind:
        case Kind.DISCONNECT:
            return Reply(b"", closes=True)
        case Kind.SLOW | Kind.LATE:
            return Reply(frame, after=fault.seconds)
        case Kind.HALF_FRAME | Kind.SHORT:
            return Reply(frame[:middle])
        case Kind.LEADING_NOISE:
            return Reply(b"\x00\xff" + frame)
        case Kind.WRONG_UNIT:
            return Reply(framed(STX, b"XXXXX(1.0)", bcc))
        case Kind.ILLEGAL_ADDRESS:
            return Reply(framed(STX, b"(ERR12)", bcc))
        case Kind.BUSY:
            return Reply(NAK)
        case _:
            return Reply(frame[:middle] + bytes((frame[middle] ^ 0x05,)) + frame[middle + 1 :])
