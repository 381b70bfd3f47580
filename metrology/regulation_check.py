"""Checks of a regulation's data that go beyond the types: sources exist, zones join, names are unique and known."""

import math
from collections import Counter

from metrology.errors import InvalidInputError
from metrology.load_marks import MARKS, Bound, parse_bound
from metrology.regulation_schema import RULES, Entry, Limit, Regulation, Rule, entries


def check_regulation(regulation: Regulation, file_name: str) -> None:
    """Raises InvalidInputError naming file, key, value and remedy when the data contradict themselves."""
    try:
        _check_identity(regulation)
        for entry in entries(regulation):
            _check_citation(entry, regulation)
        for rule in regulation.rules:
            _check_rule(rule)
        for limit in regulation.limits:
            _check_limit(limit)
        for period in regulation.validity:
            if not 1 <= period.years <= 100:
                raise InvalidInputError(f"{period.id}.years {period.years} must be from 1 to 100")
        for key, zones in zones_by_table(regulation).items():
            _check_zones_join(key, zones, _marks(regulation))
        for point in regulation.test_points:
            parse_bound(point.load, _marks(regulation))
            if point.power_factor is not None and not 0 < point.power_factor <= 1:
                raise InvalidInputError(f"{point.id}.power_factor {point.power_factor:g} must be above 0, at most 1")
            if point.load_to is not None:
                parse_bound(point.load_to, _marks(regulation))
    except InvalidInputError as error:
        raise InvalidInputError(f"{file_name}: {error}") from None


TableKey = tuple[object, ...]


def zones_by_table(regulation: Regulation) -> dict[TableKey, list[Limit]]:
    """The zones of each table, in the order of the file; a table is what a stage, a class and the influences select."""
    tables: dict[TableKey, list[Limit]] = {}
    for limit in regulation.limits:
        for accuracy_class in limit.mpe_pct:
            tables.setdefault((*table_influences(limit), limit.stage, accuracy_class), []).append(limit)
    return tables


def table_influences(limit: Limit) -> TableKey:
    """What selects a table beside stage and class: connection, power factor column, temperature band."""
    return (
        limit.connection,
        (limit.power_factor, limit.inductive_min, limit.capacitive_min),
        (limit.temperature_above_degc, limit.temperature_from_degc, limit.temperature_to_degc),
    )


def _marks(regulation: Regulation) -> tuple[str, ...]:
    return tuple(mark for medium in regulation.media for mark in MARKS[medium])


def _name(entry: Entry) -> str:
    return entry.name if isinstance(entry, Rule) else entry.id


def _check_identity(regulation: Regulation) -> None:
    if not regulation.media:
        raise InvalidInputError("media is empty; name at least one medium")
    effect = regulation.effect
    if effect.source not in regulation.sources:
        raise InvalidInputError(f"effect.source {effect.source!r} is not in [sources]; add it there")
    if effect.start and effect.end and effect.start >= effect.end:
        raise InvalidInputError(f"effect.end {effect.end} is not after effect.start {effect.start}; correct the dates")
    for group in (regulation.limits, regulation.validity, regulation.test_points, regulation.rules):
        repeated = [name for name, count in Counter(_name(e) for e in group).items() if count > 1]
        if repeated:
            raise InvalidInputError(f"the name {repeated[0]!r} stands twice in one list; give each entry its own")


def _check_citation(entry: Entry, regulation: Regulation) -> None:
    if entry.source not in regulation.sources:
        raise InvalidInputError(f"{_name(entry)}.source {entry.source!r} is not in [sources]; add it there")
    if not entry.clause.strip():
        raise InvalidInputError(f"{_name(entry)}.clause is empty; state the clause, or that it is not known")


def _check_rule(rule: Rule) -> None:
    if rule.name not in RULES:
        raise InvalidInputError(f"rules.name {rule.name!r} is unknown; use one of {', '.join(RULES)}")
    if (rule.value is None) == (not rule.by_class):
        raise InvalidInputError(f"{rule.name} needs either value or by_class; state one of them")
    numbers = [v for v in (rule.value, *rule.by_class.values()) if isinstance(v, float | int)]
    if not all(math.isfinite(number) for number in numbers):
        raise InvalidInputError(f"{rule.name} holds {numbers}; state finite numbers")


def _check_limit(limit: Limit) -> None:
    if not limit.mpe_pct or any(not 0 < value <= 100 for value in limit.mpe_pct.values()):
        raise InvalidInputError(
            f"{limit.id}.mpe_pct {limit.mpe_pct} must hold positive percentages (up to 100) by accuracy class"
        )
    if (limit.lower is None) != (limit.upper is None):
        raise InvalidInputError(f"{limit.id} has only one of lower and upper; state both, or none for the whole range")
    if limit.inverse_of is not None and limit.lower is None:
        raise InvalidInputError(f"{limit.id}.inverse_of {limit.inverse_of!r} needs lower and upper; state them")
    ranged = limit.inductive_min is not None or limit.capacitive_min is not None
    if ranged != (limit.power_factor == "other"):
        raise InvalidInputError(
            f"{limit.id}: the range of power factors goes with power_factor = 'other', and only with it"
        )


def _check_zones_join(key: TableKey, zones: list[Limit], marks: tuple[str, ...]) -> None:
    """Zones must follow each other without gap or overlap: each begins where the one before ends."""
    for zone in zones:
        if zone.inverse_of is not None:
            parse_bound(zone.inverse_of, marks)
    if len(zones) == 1 and zones[0].lower is None:
        return
    end: Bound | None = None
    for i, zone in enumerate(zones):
        if zone.lower is None or zone.upper is None:
            raise InvalidInputError(f"{zone.id} covers the whole range beside other zones of {key}; state its bounds")
        if end is not None and parse_bound(zone.lower, marks) != end:
            raise InvalidInputError(f"{zone.id}.lower {zone.lower!r} is not {str(end)!r}, where the zone before ends")
        end = parse_bound(zone.upper, marks)
        if zone.upper_included != (i == len(zones) - 1):
            raise InvalidInputError(f"{zone.id}.upper_included must be true for the last zone alone; correct it")
