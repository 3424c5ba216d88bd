"""What a verb prints of meters, gateways and people steers no terminal, and is nowhere cut off."""

from __future__ import annotations

import os
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.segment import Segment
from rich.table import Table

from ingest.plain import plain

_ANY_WIDTH = 10_000


def prepare(*consoles: Console) -> None:
    """For all that is printed there. Whoever reads a pipe or a file, and not a terminal, gets lines of any length."""
    for console in consoles:
        console.push_render_hook(PlainText())
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console.width = _ANY_WIDTH


class PlainText(RenderHook):
    """Whatever is printed: colours and cursor movements are ours alone.

    A serial number too long for its column goes on below: half of one is none.
    """

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        for one in renderables:
            if isinstance(one, Table):
                for column in one.columns:
                    column.overflow = "fold"
        return [_Plain(one) for one in renderables]


class _Plain:
    def __init__(self, shown: ConsoleRenderable) -> None:
        self._shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._shown, options):
            yield segment if segment.control else Segment(plain(segment.text, keep="\n\t"), segment.style)
