"""Ways into parsed JSON: `ENERGY.Total`, `values."total energy"`, `{device}[].values`. Pure.

A name steps into an object; `[]` goes over a list (anything else counts as a list of itself); `{name}` goes over an
object and captures each key under that name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_STEP = re.compile(r'\.?(?:"(?P<quoted>[^"]+)"|\{(?P<capture>\w+)\}|(?P<name>[^.\[\]{}"]+)|(?P<all>\[\]))')

Step = tuple[str, str]
"""Kind (`name`, `capture`, `all`) and its word."""


class Absent:
    """What is not there: unlike None, which a payload can say."""

    def __bool__(self) -> bool:
        return False


ABSENT = Absent()


def compile_path(text: str) -> tuple[Step, ...]:
    """The steps of a way; ValueError when it cannot be read."""
    steps: list[Step] = []
    place = 0
    while place < len(text):
        match = _STEP.match(text, place)
        if match is None or (text[place] == "." and (place == 0 or match.group("all"))):
            raise ValueError(f"path {text!r} cannot be read from character {place + 1} on; write it like ENERGY.Total")
        kind = match.lastgroup or ""
        steps.append(("name" if kind == "quoted" else kind, match.group(kind)))
        place = match.end()
    return tuple(steps)


def names_only(text: str) -> tuple[str, ...]:
    """The steps of a way to one place, which may not go over lists and objects; ValueError otherwise."""
    steps = compile_path(text)
    if any(kind != "name" for kind, _ in steps):
        raise ValueError(f"path {text!r} must lead to one place; [] and {{}} belong into `each`")
    return tuple(word for _, word in steps)


def look(node: object, names: tuple[str, ...]) -> object:
    """What stands at the end of the way, or ABSENT."""
    for name in names:
        if type(node) is not dict or name not in node:
            return ABSENT
        node = node[name]
    return node


def walk(node: object, steps: tuple[Step, ...], captures: Mapping[str, str]) -> Iterator[tuple[object, dict[str, str]]]:
    """Every place the way leads to, with what was captured on it."""
    if not steps:
        yield node, dict(captures)
        return
    (kind, word), rest = steps[0], steps[1:]
    if kind == "all":
        for one in node if type(node) is list else [node]:
            yield from walk(one, rest, captures)
    elif type(node) is dict:
        if kind == "name":
            if word in node:
                yield from walk(node[word], rest, captures)
        else:
            for key, value in node.items():
                yield from walk(value, rest, {**captures, word: key})
