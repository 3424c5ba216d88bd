"""`amr` for hundreds of commands: one process has loaded the program, and each call is a fork of it.

Run as a program it is that process, listening at the socket it is told. What pages find as `amr` on their PATH is
`STUB`: it hands over its words, environment, folder and files, passes signals on, and ends as the fork did.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

STUB = """#!{python} -ISE
import json, os, signal, socket, sys

with socket.socket(socket.AF_UNIX) as caller:
    caller.connect({address!r})
    call = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode() + b"\\n"
    socket.send_fds(caller, [call[:1]], [0, 1, 2])
    caller.sendall(call[1:])
    answers = caller.makefile()
    process = int(answers.readline())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda told, _: os.kill(process, told))
    sys.exit(int(answers.readline()))
"""


@contextlib.contextmanager
def ready(folder: Path) -> Iterator[Path]:
    """A folder with `amr` in it, for a PATH. At the end whatever still runs is ended."""
    address = str(folder / "ready.sock")
    stub = folder / "amr"
    stub.write_text(STUB.format(python=sys.executable, address=address))
    stub.chmod(0o755)
    environment = {**os.environ, "COLUMNS": "200"}  # consoles measure themselves when they are loaded
    with subprocess.Popen(
        [sys.executable, "-m", "tests.docs.ready", address],
        env=environment,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as server:
        assert server.stdout
        try:
            assert server.stdout.readline() == b"ready\n"
            yield folder
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def serve(address: str) -> None:
    """Answer calls until killed."""
    import amr

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks are not waited for
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(50)
        print("ready", flush=True)
        while True:
            caller, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _attend(caller, amr.main)
            caller.close()


def _attend(caller: socket.socket, main: Callable[[], None]) -> None:
    """In a fork: run the program in a fork of its own, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    begun, files, _, _ = socket.recv_fds(caller, 1, 3)
    words, environment, folder = json.loads(begun + caller.makefile("rb").readline())
    process = os.fork()
    if process == 0:
        caller.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.argv = ["amr", *words]
        _end(main)
    caller.sendall(f"{process}\n".encode())
    _, status = os.waitpid(process, 0)
    caller.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _end(main: Callable[[], None]) -> None:
    """Run it and leave without what belongs to the process we are a copy of."""
    code: object = 1
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - what the interpreter does with it; this process is a copy of another one
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    serve(sys.argv[1])
