"""The XML files in what was sent: one alone, or many in a zip archive, of bounded size whatever its headers claim."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from ingest.errors import Malformed

MOST_FILES = 1_000
LARGEST_FILE = 32 << 20
LARGEST_WHOLE = 256 << 20
_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"


class File(NamedTuple):
    """A file by name: its bytes, or why it cannot be had."""

    name: str
    content: bytes | Malformed


def xml_files(name: str, raw: bytes) -> Iterator[File]:
    """The files, in their order. What is wrong with one of an archive is told of it alone.

    Raises Malformed, before the first, for what cannot be opened or is too large.
    """
    if not raw.startswith((_ZIP, _EMPTY_ZIP)):
        if len(raw) > LARGEST_FILE:
            raise Malformed(f"{name}: larger than {LARGEST_FILE >> 20} MiB; send a file for each day")
        yield File(name, raw)
        return
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > MOST_FILES:
                raise Malformed(f"{name}: {len(entries)} files in one archive; send at most {MOST_FILES}")
            yield from _unpacked(name, archive, entries)
    except (zipfile.BadZipFile, OSError) as error:
        raise Malformed(f"{name}: a damaged zip archive ({error}); pack it again") from error


def _unpacked(name: str, archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> Iterator[File]:
    left = LARGEST_WHOLE
    for entry in entries:
        content = _content(archive, entry, min(LARGEST_FILE, left))
        if isinstance(content, bytes):
            left -= len(content)
        if left <= 0:
            too_large = f"larger than {LARGEST_WHOLE >> 20} MiB unpacked; send what comes from here on by itself"
            yield File(f"{name}/{entry.filename}", Malformed(too_large))
            return
        yield File(entry.filename, content)


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes | Malformed:
    """The bytes of one file, read no further than they may be."""
    if entry.flag_bits & 1:
        return Malformed("encrypted; pack it without a password")
    if not entry.filename.lower().endswith(".xml"):
        return Malformed("no .xml file; only those are read")
    try:
        with archive.open(entry) as file:
            content = file.read(most + 1)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, RuntimeError) as error:
        return Malformed(f"damaged in the archive ({error}); pack it again")
    if len(content) > most:
        return Malformed(f"larger than {most >> 20} MiB unpacked; send smaller files")
    return content
