"""Loads, lists and finds regulations. The data files are in metrology/regulations/, one an edition."""

import tomllib
from collections.abc import Sequence
from datetime import date, datetime
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from metrology.errors import InvalidInputError, NotFoundError
from metrology.regulation_check import check_regulation
from metrology.regulation_schema import Regulation, Rule, Subject


def parse_regulation(text: str, file_name: str) -> Regulation:
    """One regulation from the text of its data file. Raises InvalidInputError naming file, key, value and remedy."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"{file_name}: not valid TOML: {error}; correct the file at that place") from None
    try:
        regulation = msgspec.convert(data, Regulation, strict=True)
    except msgspec.ValidationError as error:
        raise InvalidInputError(
            f"{file_name}: {_locate(str(error), data)}; see metrology/regulation_schema.py"
        ) from None
    check_regulation(regulation, file_name)
    return regulation


def _locate(message: str, data: dict[str, Any]) -> str:
    """The decoder's message with the place written as a key of the file and the value that was found there."""
    problem, _, path = message.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    value: Any = data
    for step in path.replace("[", ".").replace("]", "").split("."):
        if isinstance(value, list) and step.isdigit():
            value = value[int(step)]
        elif isinstance(value, dict) and step in value:
            value = value[step]
    found = f" holds {value!r}" if not isinstance(value, dict | list) else ""
    return f"{path or 'the file'}{found}: {problem}"


@cache
def load_regulations() -> tuple[Regulation, ...]:
    """Every regulation that comes with the package, in the order of their ids."""
    folder = resources.files("metrology").joinpath("regulations")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    loaded = tuple(parse_regulation(f.read_text(encoding="utf-8"), f.name) for f in files)
    return tuple(sorted(loaded, key=lambda r: r.id))


def get_regulation(regulation_id: str) -> Regulation:
    """The regulation of that id. Raises NotFoundError with the valid ids."""
    for regulation in load_regulations():
        if regulation.id == regulation_id:
            return regulation
    valid = ", ".join(r.id for r in load_regulations())
    raise NotFoundError(f"regulation {regulation_id!r} is unknown; use one of {valid}")


def check_day(on: date) -> None:
    """Refuses what is not a calendar day: a time has none until its time zone is settled."""
    if not isinstance(on, date) or isinstance(on, datetime):
        raise InvalidInputError(f"{on!r} is not a calendar day; give a datetime.date of the place's time zone")


def is_in_force(regulation: Regulation, on: date) -> bool:
    """Whether the edition is in force on that day; before its year of issue it never is, without an end it still is."""
    check_day(on)
    start = regulation.effect.start or date(regulation.effect.issued_year, 1, 1)
    return start <= on and (regulation.effect.end is None or on < regulation.effect.end)


def period_in_force(regulation: Regulation) -> str:
    """The period in words, for messages and pages."""
    effect = regulation.effect
    start = effect.start.isoformat() if effect.start else f"{effect.issued_year} (day not known or not stated)"
    return f"from {start}" + (f" until before {effect.end.isoformat()}" if effect.end else "")


def edition_in_force(family: str, on: date, among: Sequence[Regulation] | None = None) -> Regulation:
    """The edition of a family (such as "jjg-596") in force on a day. Raises with the valid families or periods."""
    candidates = load_regulations() if among is None else among
    editions = [r for r in candidates if r.family == family]
    if not editions:
        raise NotFoundError(
            f"family {family!r} is unknown; use one of {', '.join(sorted({r.family for r in candidates}))}"
        )
    for edition in editions:
        if is_in_force(edition, on):
            return edition
    periods = "; ".join(f"{r.id} {period_in_force(r)}" for r in editions)
    raise InvalidInputError(f"no edition of {family} is in force on {on.isoformat()}; known: {periods}")


def require_in_force(regulation: Regulation, on: date) -> None:
    """Raises InvalidInputError when the edition is not in force on that day."""
    if not is_in_force(regulation, on):
        raise InvalidInputError(
            f"{regulation.id} is not in force on {on.isoformat()}, but {period_in_force(regulation)}; "
            f"choose another edition of {regulation.family} or another date"
        )


def find_rule(regulation: Regulation, name: str) -> Rule:
    """The figure of that name. Raises NotFoundError with the figures that the regulation states."""
    for rule in regulation.rules:
        if rule.name == name:
            return rule
    stated = ", ".join(r.name for r in regulation.rules) or "none"
    raise NotFoundError(f"{regulation.id} states no {name!r}; it states: {stated}")


def has_rule(regulation: Regulation, name: str) -> bool:
    """Whether the regulation states a figure of that name."""
    return any(rule.name == name for rule in regulation.rules)


def rule_value(regulation: Regulation, name: str, accuracy_class: str | None = None) -> float:
    """The figure [unit as in RULES], of one accuracy class where the regulation states it by class."""
    rule = find_rule(regulation, name)
    if rule.value is not None:
        return rule.value
    value = rule.by_class.get(accuracy_class or "")
    if not isinstance(value, float | int):
        raise InvalidInputError(
            f"{regulation.id} states {name} by accuracy class; "
            f"{accuracy_class!r} is not one of {', '.join(rule.by_class)}"
        )
    return float(value)


def reason_not_stated(regulation: Regulation, subject: Subject) -> str:
    """Why the regulation's data hold nothing on the subject, or an empty text."""
    return next((n.reason for n in regulation.not_stated if n.subject == subject), "")
