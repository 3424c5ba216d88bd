"""TLS to a broker: which authority to trust, who we are, and no socket left behind by a handshake that failed."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class Tls:
    """The CA file that signed the broker (None: the system's), and our own certificate and key, when it asks."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class _ClosedOnFailure(ssl.SSLSocket):
    """paho forgets the socket of a handshake that failed; a broker that is tried for days must not cost one each."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def context_of(tls: Tls) -> ssl.SSLContext:
    """A context that checks the broker's name; Misconfigured for files that cannot be read."""
    try:
        context = ssl.create_default_context(cafile=str(tls.ca) if tls.ca else None)
        context.sslsocket_class = _ClosedOnFailure
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as e:
        names = ", ".join(str(one) for one in (tls.ca, tls.certificate, tls.key) if one) or "of the system"
        raise Misconfigured(
            f"TLS files {names}: {e}; write the paths of PEM files that can be read, and the key of this certificate"
        ) from e
    return context
