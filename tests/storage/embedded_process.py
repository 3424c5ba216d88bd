"""A program for tests: own or join the embedded server of a folder, say so, and stay until stdin closes."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

from storage.embedded import EmbeddedServer


async def run(data: Path) -> None:
    server = EmbeddedServer(data)
    await server.start()
    print("owner" if server.owner else "guest", server.dsn, flush=True)
    guard = asyncio.create_task(server.guard())
    await asyncio.to_thread(sys.stdin.read)
    guard.cancel()
    await server.stop()


if __name__ == "__main__":
    if "--thread" in sys.argv:
        thread = threading.Thread(target=lambda: asyncio.run(run(Path(sys.argv[1]))))
        thread.start()
        thread.join()
    else:
        asyncio.run(run(Path(sys.argv[1])))
