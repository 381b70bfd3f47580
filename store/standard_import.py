"""Imports of reference standards and their certificates: all rows of a file or none."""

from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import args_row

from store.cells import Problems, RowReader, check_columns
from store.import_summary import ImportSummary, audit_detail, check_utility
from store.registry import lock_registry, registry_version
from store.registry_state import RegistryState, audit, ensure_utility, load_state, raise_version
from store.tables import Table

Connection = psycopg.Connection[Any]

REQUIRED: Final = ("code", "certificate", "expanded_uncertainty_pct", "valid_from", "valid_until")
KNOWN: Final = (*REQUIRED, "meter", "issued_by", "coverage_factor")


class _Standard(NamedTuple):
    """A row of `reference_standard`, without its id and utility."""

    code: str
    meter_id: int | None
    certificate: str
    issued_by: str
    expanded_uncertainty_pct: float
    coverage_factor: float
    valid_from: date
    valid_until: date


def import_standards(connection: Connection, table: Table, *, utility: str, actor: str) -> ImportSummary:
    """Registers reference standards: `code, certificate, expanded_uncertainty_pct, valid_from, valid_until`.

    Optional: `meter` (serial of the registered meter that serves as the standard), `issued_by`, `coverage_factor` (2).
    A standard has a row for each certificate, told apart by `valid_from`. Raises ImportRefusedError with the file's
    faults, InvalidInputError for a wrong argument or header.
    """
    check_utility(utility)
    problems = Problems(table.source)
    ignored = check_columns(table, REQUIRED, KNOWN)
    lock_registry(connection)
    state = load_state(connection, utility)
    rows = _parse(table, state, problems)
    problems.refuse_if_any()

    utility_id = ensure_utility(connection, state, utility)
    known = _load(connection, utility_id)
    added = [row for row in rows if (row.code, row.valid_from) not in known]
    changed = [row for row in rows if known.get((row.code, row.valid_from), row) != row]
    _write(connection, utility_id, [*added, *changed])
    summary = ImportSummary(
        added=len(added),
        changed=len(changed),
        unchanged=len(rows) - len(added) - len(changed),
        released=0,
        registry_version=raise_version(connection) if added or changed else registry_version(connection),
        ignored_columns=tuple(ignored),
    )
    entries = [
        (
            "change_standard",
            f"{utility}/{row.code}",
            {"before": known[row.code, row.valid_from]._asdict(), "after": row._asdict()},
        )
        for row in changed
    ]
    audit(connection, actor, [("import_standards", utility, audit_detail(table, summary)), *entries])
    return summary


def _parse(table: Table, state: RegistryState, problems: Problems) -> list[_Standard]:
    reader, lines, rows = RowReader(table, problems), dict[tuple[str, date], int](), []
    for raw in table.rows:
        before = problems.total
        reader.start(raw)
        code, certificate = reader.name("code", required=True), reader.name("certificate", required=True)
        serial, uncertainty = reader.name("meter"), reader.positive("expanded_uncertainty_pct")
        factor = reader.positive("coverage_factor", Decimal(2))
        valid_from, valid_until = reader.day("valid_from", required=True), reader.day("valid_until", required=True)
        if uncertainty is None and not reader.raw("expanded_uncertainty_pct"):
            reader.fault("expanded_uncertainty_pct", "a number above 0")
        if serial and serial not in state.meters:
            reader.fault("meter", "a meter that is registered; import the meters first")
        if valid_from and valid_until and valid_until <= valid_from:
            reader.fault("valid_until", f"a date after {valid_from}")
        if valid_from and lines.setdefault((code, valid_from), raw.line) != raw.line:
            reader.fault("code", f"each code and valid_from once; it stands in line {lines[code, valid_from]}")
        if problems.total > before or not (uncertainty and factor and valid_from and valid_until):
            continue
        meter_id = state.meters[serial]["meter_id"] if serial else None
        issued_by = reader.name("issued_by")
        rows.append(
            _Standard(
                code, meter_id, certificate, issued_by, float(uncertainty), float(factor), valid_from, valid_until
            )
        )
    return rows


def _load(connection: Connection, utility_id: int) -> dict[tuple[str, date], _Standard]:
    with connection.cursor(row_factory=args_row(_Standard)) as cursor:
        rows = cursor.execute(
            "select code, meter_id, certificate, issued_by, expanded_uncertainty_pct, coverage_factor, valid_from,"
            " valid_until from reference_standard where utility_id = %s",
            (utility_id,),
        ).fetchall()
    return {(row.code, row.valid_from): row for row in rows}


def _write(connection: Connection, utility_id: int, rows: list[_Standard]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into reference_standard (utility_id, code, meter_id, certificate, issued_by,"
            " expanded_uncertainty_pct, coverage_factor, valid_from, valid_until)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " on conflict (utility_id, code, valid_from) do update set meter_id = excluded.meter_id,"
            " certificate = excluded.certificate, issued_by = excluded.issued_by,"
            " expanded_uncertainty_pct = excluded.expanded_uncertainty_pct,"
            " coverage_factor = excluded.coverage_factor, valid_until = excluded.valid_until",
            [(utility_id, *row) for row in rows],
        )
