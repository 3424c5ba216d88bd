"""Text from outside, shown so that it neither steers a terminal nor passes for a line of ours. Pure."""

from __future__ import annotations


def plain(text: str, keep: str = "") -> str:
    """The text with whatever is not printable written out: escape sequences, line ends, marks that turn text round."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)
