"""A power cut for SQLite files: what was not synced is gone, whatever a kill -9 would have left in the page cache.

`watch(folder, aside)` wraps the sync of SQLite's file system layer in this process: each file of the folder is copied
aside when its sync returns. After the process is killed, `cut(folder, aside)` puts those copies in the place of the
files: exactly what a disk must still hold after a power cut. A file that was never synced is gone.

Reaches SQLite's own C interface through the library that Python's sqlite3 is linked with.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import os
import shutil
from pathlib import Path
from typing import Any

_OK = 0

_X_OPEN = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_int)
)
_X_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
_X_CLOSE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("path_size", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
    )


class _Methods(ctypes.Structure):
    """The methods of an open file: version, then pointers; close is the first and sync the fifth of them."""

    _fields_ = (("version", ctypes.c_int), ("calls", ctypes.c_void_p * 18))


_CLOSE, _SYNC = 0, 4
_kept: list[Any] = []
"""What C code points to must not be collected."""


def watch(folder: Path, aside: Path) -> None:
    """Copy aside what is synced of every SQLite file in this folder, from now on, in this process."""
    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    vfs = library.sqlite3_vfs_find(None).contents
    opened = _X_OPEN(vfs.open)
    files: dict[int, str] = {}
    methods: dict[int, _Methods] = {}

    def on_open(vfs_at: int, name_at: int | None, file: int, flags: int, out: Any) -> int:
        done = opened(vfs_at, name_at, file, flags, out)  # the very pointer: SQLite keeps it until the file is closed
        name = None if name_at is None else os.fsdecode(ctypes.string_at(name_at))
        if done == _OK and name is not None and Path(name).is_relative_to(folder):
            files[file] = name
            at = ctypes.cast(file, ctypes.POINTER(ctypes.c_void_p))
            original = at[0]
            if original not in methods:
                methods[original] = _wrapped(original, files, aside)
            at[0] = ctypes.addressof(methods[original])
        return int(done)

    callback = _X_OPEN(on_open)
    _kept.extend((opened, callback, methods))
    vfs.open = ctypes.cast(callback, ctypes.c_void_p).value


def _wrapped(original: int, files: dict[int, str], aside: Path) -> _Methods:
    copy = _Methods.from_buffer_copy(ctypes.cast(original, ctypes.POINTER(_Methods)).contents)
    sync = _X_SYNC(copy.calls[_SYNC])

    def on_sync(file: int, flags: int) -> int:
        done = sync(file, flags)
        if done == _OK and file in files:
            _keep(Path(files[file]), aside)
        return int(done)

    callback = _X_SYNC(on_sync)
    _kept.extend((sync, callback))
    copy.calls[_SYNC] = ctypes.cast(callback, ctypes.c_void_p).value
    return copy


def _keep(file: Path, aside: Path) -> None:
    beside = aside / f"{file.name}.new"
    shutil.copyfile(file, beside)
    os.replace(beside, aside / file.name)


def cut(folder: Path, aside: Path) -> None:
    """What is left of a killed process's SQLite files after a power cut."""
    for file in [*folder.glob("*.sqlite"), *folder.glob("*.sqlite-wal")]:
        synced = aside / file.name
        if synced.exists():
            shutil.copyfile(synced, file)
        else:
            file.unlink()
    for shared in folder.glob("*-shm"):
        shared.unlink()
