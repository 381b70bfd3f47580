"""Imports of zones: all rows of a file or none."""

from dataclasses import dataclass
from typing import Any, Final

import psycopg

from metrology.quantities import Medium
from store.cells import Problems, RowReader, check_columns
from store.import_summary import ImportSummary, audit_detail, check_utility
from store.registry import lock_registry, registry_version
from store.registry_state import RegistryState, audit, ensure_utility, load_state, raise_version
from store.tables import Table

Connection = psycopg.Connection[Any]

REQUIRED: Final = ("zone", "medium")
KNOWN: Final = (*REQUIRED, "parent", "interval_s", "reference_uncertainty_pct")


@dataclass(slots=True)
class ZoneRow:
    """A row of a zones file; None: the file does not say."""

    line: int
    code: str
    medium: str
    parent: str | None  # None: the file has no such column; empty: no parent
    interval_s: int | None
    reference_uncertainty_pct: float | None


def import_zones(connection: Connection, table: Table, *, utility: str, actor: str) -> ImportSummary:
    """Registers the zones of a file: `zone, medium` and optionally `parent, interval_s, reference_uncertainty_pct`.

    A parent may stand in the file or be registered. Empty cells leave a known zone's figures as they are, and an empty
    `parent` takes it out of its parent. Raises ImportRefusedError with the file's faults (also a circle of parents),
    InvalidInputError for a wrong argument or header.
    """
    check_utility(utility)
    problems = Problems(table.source)
    ignored = check_columns(table, REQUIRED, KNOWN)
    lock_registry(connection)
    state = load_state(connection, utility)
    rows = parse_zone_rows(table, state, problems)
    problems.refuse_if_any()

    utility_id = ensure_utility(connection, state, utility)
    added = [row for row in rows if row.code not in state.zones]
    changes = _changes(rows, state)
    _write(connection, utility_id, rows)
    summary = ImportSummary(
        added=len(added),
        changed=len(changes),
        unchanged=len(rows) - len(added) - len(changes),
        released=0,
        registry_version=raise_version(connection) if added or changes else registry_version(connection),
        ignored_columns=tuple(ignored),
    )
    entries = [("change_zone", f"{utility}/{code}", detail) for code, detail in changes.items()]
    audit(connection, actor, [("import_zones", utility, audit_detail(table, summary)), *entries])
    return summary


def parse_zone_rows(table: Table, state: RegistryState, problems: Problems) -> list[ZoneRow]:
    """The rows of a zones file, checked by themselves and against the zones of the state; faults are noted. Pure."""
    rows = _parse(table, problems)
    _check_media(rows, state, problems)
    _check_parents(rows, state, problems)
    return rows


def _parse(table: Table, problems: Problems) -> list[ZoneRow]:
    reader, lines, rows = RowReader(table, problems), dict[str, int](), []
    has_parent = "parent" in table.columns
    for raw in table.rows:
        reader.start(raw)
        code = reader.name("zone", required=True, in_address=True)
        uncertainty = reader.positive("reference_uncertainty_pct", or_zero=True)
        row = ZoneRow(
            line=raw.line,
            code=code,
            medium=reader.choice("medium", tuple(Medium)),
            parent=reader.name("parent") if has_parent else None,
            interval_s=reader.integer("interval_s", 60, 86_400),
            reference_uncertainty_pct=None if uncertainty is None else float(uncertainty),
        )
        if code and lines.setdefault(code, raw.line) != raw.line:
            reader.fault("zone", f"each zone once; it stands in line {lines[code]}")
        rows.append(row)
    return rows


def _check_media(rows: list[ZoneRow], state: RegistryState, problems: Problems) -> None:
    media = {code: zone["medium"] for code, zone in state.zones.items()} | {row.code: row.medium for row in rows}
    for row in rows:
        known = state.zones.get(row.code)
        if known is not None and known["medium"] != row.medium and row.medium:
            problems.add(row.line, "medium", row.medium, f"{known['medium']}, as this zone is registered")
        if row.parent and row.parent not in media:
            problems.add(row.line, "parent", row.parent, "a zone of this file or of the registry")
        elif row.parent and row.medium and media[row.parent] not in ("", row.medium):
            problems.add(row.line, "parent", row.parent, f"a zone of {row.medium}; this one is of {media[row.parent]}")


def _check_parents(rows: list[ZoneRow], state: RegistryState, problems: Problems) -> None:
    """Zones lie inside each other without a circle."""
    codes = {zone["zone_id"]: code for code, zone in state.zones.items()}
    parents = {code: codes.get(zone["parent_zone_id"], "") for code, zone in state.zones.items()}
    parents |= {row.code: row.parent for row in rows if row.parent is not None}
    for row in rows:
        path = [row.code]
        while (parent := parents.get(path[-1], "")) and parent not in path:
            path.append(parent)
        if parent and parent == row.code:
            problems.add(
                row.line, "parent", row.parent, f"no circle; these lie in each other: {' > '.join([*path, parent])}"
            )


def _changes(rows: list[ZoneRow], state: RegistryState) -> dict[str, dict[str, Any]]:
    """Former and new values of the registered zones that change, by code."""
    ids = {zone["zone_id"]: code for code, zone in state.zones.items()}
    changes = {}
    for row in rows:
        zone = state.zones.get(row.code)
        if zone is None:
            continue
        before = {
            "parent": ids.get(zone["parent_zone_id"], ""),
            "interval_s": zone["interval_s"],
            "reference_uncertainty_pct": zone["reference_uncertainty_pct"],
        }
        after = {name: before[name] if getattr(row, name) is None else getattr(row, name) for name in before}
        if after != before:
            changes[row.code] = {"before": before, "after": after}
    return changes


def _write(connection: Connection, utility_id: int, rows: list[ZoneRow]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into zone (utility_id, code, medium) values (%s, %s, %s) on conflict do nothing",
            [(utility_id, row.code, row.medium) for row in rows],
        )
        # Parents are set when all zones exist.
        cursor.executemany(
            "update zone set interval_s = coalesce(%s, interval_s),"
            " reference_uncertainty_pct = coalesce(%s, reference_uncertainty_pct),"
            " parent_zone_id = case when %s::text is null then parent_zone_id else"
            "  (select p.zone_id from zone p where p.utility_id = zone.utility_id and p.code = %s) end"
            " where utility_id = %s and code = %s",
            [
                (row.interval_s, row.reference_uncertainty_pct, row.parent, row.parent, utility_id, row.code)
                for row in rows
            ],
        )
