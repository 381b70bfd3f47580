"""Paths into JSON documents, as the options of the JSON codecs write them.

`energy.import.cumulative`   keys, one after the other; a key with dots or brackets stands in quotes: `"a.b".c`
`devices[*].services[0]`     every element of a list, or the one of that number from 0
`*[*].values`                every member of an object
`^.device_id`                up to what holds the item (one level of `*` or `[*]`), then down; `^^` goes up two
`$.id`                       from the document's root
`$key`, `$key2`              the key under which the item was found by `*`; $key2 the key one `*` further out
`$topic3`                    level 3 of the topic, from 1
`=text`                      this very text
An empty path is the item itself.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator

ANY = object()  # stands for every element or member
MISSING = object()  # what a path that leads nowhere yields
_TOKEN = re.compile(r'\.?(?:"([^"]+)"|([^.\[\]"^$=*\s][^.\[\]"]*)|(\*))|\[(?:([0-9]{1,6})|(\*))\]')
_SPECIAL = re.compile(r"\$(key|topic)([0-9]{0,3})")
Step = Any  # a key, a number, or ANY


class Place(NamedTuple):
    """An item of a document: its value, the items that hold it (nearest first), the keys that led to it."""

    value: Any
    parents: tuple[Any, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Path:
    """A compiled path: where it starts (`kind`, `number`) and the steps from there."""

    text: str
    kind: str  # item, root, up, key, topic, fixed
    number: int
    steps: tuple[Step, ...]


def compile_path(text: str) -> Path:
    """The path that `text` writes. Raises ValueError naming the place that is wrong."""
    if text.startswith("="):
        return Path(text, "fixed", 0, (text[1:],))
    special = _SPECIAL.fullmatch(text)
    if special:
        return Path(text, special[1], int(special[2] or 1), ())
    kind, number, rest = "item", 0, text
    if text == "$" or text.startswith(("$.", "$[")):
        kind, rest = "root", text[1:]
    elif text.startswith("^"):
        rest = text.lstrip("^")
        kind, number = "up", len(text) - len(rest)
    return Path(text, kind, number, _steps(rest, text))


def _steps(rest: str, text: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    position = 0
    while position < len(rest):
        match = _TOKEN.match(rest, position)
        if not match or (position and rest[position] not in ".[") or text.startswith("."):
            raise ValueError(f"{text!r} is no path at {rest[position:]!r}; e.g. devices[*].energy.total")
        quoted, plain, member, number, element = match.groups()
        steps.append(ANY if member or element else int(number) if number else quoted or plain)
        position = match.end()
    return tuple(steps)


def _checked_path(text: str) -> str:
    compile_path(text)
    return text


def _checked_plain_path(text: str) -> str:
    if ANY in compile_path(text).steps:
        raise ValueError(f"{text!r} must lead to one value; `*` belongs into items")
    return text


ItemsPath = Annotated[str, AfterValidator(_checked_path)]
ValuePath = Annotated[str, AfterValidator(_checked_plain_path)]


def find_items(document: Any, path: Path) -> Iterator[Place]:
    """Every item that the path leads to, in the document's order."""
    yield from _walk(Place(document), path.steps)


def _walk(place: Place, steps: tuple[Step, ...]) -> Iterator[Place]:
    value = place.value
    for i, step in enumerate(steps):
        if step is not ANY:
            value = _child(value, step)
            if value is MISSING:
                return
            continue
        members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, member in members:
            keys = (key, *place.keys) if isinstance(key, str) else place.keys
            parents = (place.value, *place.parents)
            yield from _walk(Place(member, parents, keys), steps[i + 1 :])
        return
    yield place._replace(value=value)


def find_value(path: Path, place: Place, root: Any, topic: str) -> Any:
    """What the path leads to from an item; MISSING where it leads nowhere."""
    match path.kind:
        case "fixed":
            return path.steps[0]
        case "topic":
            levels = topic.split("/")
            return levels[path.number - 1] if 0 < path.number <= len(levels) else MISSING
        case "key":
            return place.keys[path.number - 1] if 0 < path.number <= len(place.keys) else MISSING
        case "root":
            value = root
        case "up":
            value = place.parents[path.number - 1] if path.number <= len(place.parents) else MISSING
        case _:
            value = place.value
    for step in path.steps:
        value = _child(value, step)
    return value


def _child(value: Any, step: Step) -> Any:
    if isinstance(step, int):
        return value[step] if isinstance(value, list) and step < len(value) else MISSING
    return value.get(step, MISSING) if isinstance(value, dict) else MISSING
