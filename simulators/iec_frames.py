"""Characters and checks of IEC 62056-21 as a meter makes them: parity, BCC by the standard or by sum. Pure, own."""

SOH, STX, ETX, ACK, NAK = b"\x01", b"\x02", b"\x03", b"\x06", b"\x15"
SPEEDS = {300: "0", 600: "1", 1200: "2", 2400: "3", 4800: "4", 9600: "5", 19200: "6"}
BAUDS = {code: baud for baud, code in SPEEDS.items()}


def check(block: bytes, bcc: str) -> bytes:
    """The BCC over everything after the start up to and with ETX."""
    total = 0
    for byte in block:
        total = total ^ byte if bcc == "xor" else total + byte
    return bytes((total & 0x7F,))


def framed(start: bytes, text: bytes, bcc: str) -> bytes:
    """A block with its start, ETX and BCC."""
    return start + text + ETX + check(text + ETX, bcc)


def even(data: bytes) -> bytes:
    """The characters with an even parity bit as the eighth."""
    return bytes(byte | (0x80 if bin(byte).count("1") % 2 else 0) for byte in data)


def is_even(data: bytes) -> bool:
    """Whether every character has even parity."""
    return all(bin(byte).count("1") % 2 == 0 for byte in data)
