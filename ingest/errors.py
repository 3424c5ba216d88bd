"""Every failure this service names. The class says whether trying again can help; the message says what to do.

Drivers' own errors are translated into these in the one file that imports the driver, with the cause chained.
"""

from __future__ import annotations


class AmrError(Exception):
    """Any failure of ours. `code` is stable and machine-readable; `transient` tells whether a retry may succeed."""

    code = "error"
    transient = False


class Unreachable(AmrError):
    """Nobody answered: a meter, a line, a gateway or a broker is silent. Try again later."""

    code = "unreachable"
    transient = True


class Malformed(AmrError):
    """What came cannot be understood: a damaged frame, an unknown payload, a wrong field. It would fail again."""

    code = "malformed"


class Refused(AmrError):
    """The other side understood and said no: an illegal address, a wrong password, missing rights."""

    code = "refused"


class Busy(AmrError):
    """The other side (or a bounded queue of ours) is full or busy just now. Try again after a pause."""

    code = "busy"
    transient = True


class StoreUnavailable(AmrError):
    """The database cannot be reached or gave up on us. What was being stored is kept and tried again."""

    code = "store_unavailable"
    transient = True


class StoreRejected(AmrError):
    """The database refused the data themselves; the same rows would be refused again."""

    code = "store_rejected"


class FleetConflict(AmrError):
    """A change of the fleet contradicts what is stored. The message names both sides."""

    code = "fleet_conflict"


class NotFound(AmrError):
    """What was asked for by name does not exist (or may not be seen by the asker)."""

    code = "not_found"


class Misconfigured(AmrError):
    """A setting, a file or an argument is wrong. The message names the field, the value and the remedy."""

    code = "misconfigured"


class Elsewhere(AmrError):
    """The line is not (or no longer) owned by this collector: its owner should be asked."""

    code = "elsewhere"
    transient = True
