"""`make bench`: every figure, each beside the ceiling measured in the same run; about thirty minutes.

python -m bench [write] [read] [memory] [poll] [push] [api] [region]

Most of that is the load of three and a half years before reading: at most ten minutes, and what is kept beside it.
"""

from __future__ import annotations

import argparse

import uvloop

from bench import api, memory, poll, push, read, region, write

PARTS = ("write", "read", "memory", "poll", "push", "api", "region")


async def run(names: list[str]) -> None:
    """The named parts, in the order of the house: the store first."""
    if "write" in names:
        await write.run()
    if "read" in names:
        await read.run()
    if "memory" in names:
        await memory.run()
    if "poll" in names:
        await poll.run(2.0)
    if "push" in names:
        await push.run()
    if "api" in names:
        await api.run()
    if "region" in names:
        await region.run()


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    options.add_argument("names", nargs="*", choices=[*PARTS, []], help="left out: all")
    uvloop.run(run(options.parse_args().names or list(PARTS)))
