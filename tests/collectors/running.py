"""An owner that runs while a test looks on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from collectors.line import Owner


@asynccontextmanager
async def running(owner: Owner) -> AsyncIterator[Owner]:
    """Run it; the end of the block stops it."""
    task = asyncio.create_task(owner.run())
    try:
        yield owner
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
