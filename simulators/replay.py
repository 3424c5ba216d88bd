"""A far end that knows recorded exchanges and nothing else: the same bytes, the same answer. Pure.

Whatever else is heard is kept in `unexpected`, so that a test can fail on any byte that was not recorded.
"""

from collections.abc import Sequence

from simulators.framing import Reply


class Replay:
    """Recorded exchanges, in their order or (`ordered=False`) in any."""

    def __init__(self, exchanges: Sequence[tuple[bytes, bytes]], *, ordered: bool = True) -> None:
        self._left = list(exchanges)
        self._ordered = ordered
        self._heard = b""
        self.unexpected = b""

    @property
    def done(self) -> bool:
        """Whether everything recorded was asked."""
        return not self._left

    def hear(self, data: bytes) -> list[Reply]:
        """Answer a request heard whole."""
        self._heard += data
        replies: list[Reply] = []
        while found := self._match():
            request, reply = found
            self._heard = self._heard[len(request) :]
            if self._ordered:
                self._left.remove(found)
            replies += [Reply(reply)] if reply else []
        if self._heard and not any(one.startswith(self._heard) for one, _ in self._expected()):
            self.unexpected += self._heard
            self._heard = b""
        return replies

    def silence(self) -> None:
        """Half a request is unexpected too."""
        self.unexpected += self._heard
        self._heard = b""

    def _expected(self) -> Sequence[tuple[bytes, bytes]]:
        return self._left[:1] if self._ordered else self._left

    def _match(self) -> tuple[bytes, bytes] | None:
        return next((one for one in self._expected() if self._heard.startswith(one[0])), None)
