"""Two writers on one socket, the socket taking what it likes: every packet arrives whole and in its writer's order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collectors.two_writers import TwoWriters

ACK, PACKET = b"aaaa", b"pppppp"


class Narrow:
    """A socket that takes as many bytes at a time as it is told, and blocks when that is 0."""

    def __init__(self, takes: list[int]) -> None:
        self.takes = takes
        self.sent = b""

    def send(self, data: bytearray | bytes, /) -> int:
        room = self.takes.pop(0) if self.takes else 1000
        if room == 0:
            raise BlockingIOError
        self.sent += bytes(data[:room])
        return min(room, len(data))


@given(st.lists(st.integers(0, 9), max_size=80), st.lists(st.integers(0, 2), max_size=30))
def test_packets_of_two_writers_never_mix(takes: list[int], work: list[int]) -> None:
    sock, others = Narrow(takes), bytearray()

    def write_other() -> bool:
        try:
            while others:
                del others[: sock.send(others)]
        except BlockingIOError:
            return True
        return False

    writers, acks, packets = TwoWriters(write_other), 0, 0
    for kind in work:
        if kind == 0:
            writers.add(ACK)
            acks += 1
        elif kind == 1:
            others += PACKET
            packets += 1
        writers.write(sock)
    while writers.write(sock):
        pass
    rest, counted = sock.sent, [0, 0]
    while rest:
        place = 0 if rest.startswith(ACK) else 1
        assert rest.startswith((ACK, PACKET))
        rest = rest[len((ACK, PACKET)[place]) :]
        counted[place] += 1
    assert counted == [acks, packets]
