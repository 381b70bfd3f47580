"""Registering meters that a command itself knows, through the same import as a file's."""

from collections.abc import Iterable, Sequence

from metrology.quantities import BASE_UNIT, Medium
from store.database import Connection
from store.import_summary import ImportSummary
from store.meter_import import import_meters
from store.tables import Table, TableRow

_RESOLUTION = {Medium.ELECTRICITY: "0.001", Medium.WATER: "0.001", Medium.GAS: "0.001"}  # Wh and litres are usual


def table_of(source: str, rows: Sequence[dict[str, str]]) -> Table:
    """Rows as the imports take them; a column is there if any row has it."""
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    cells = tuple(TableRow(i + 2, tuple(row.get(name, "") for name in columns)) for i, row in enumerate(rows))
    return Table(source, columns, cells)


def register_serials(conn: Connection, utility: str, medium: Medium, serials: Iterable[str]) -> ImportSummary:
    """Register meters of which only the serial is known as customers' meters, each at a place of its own."""
    rows = [
        {
            "meter": serial,
            "service_point": serial,
            "role": "customer",
            "medium": str(medium),
            "unit": BASE_UNIT[medium],
            "resolution": _RESOLUTION[medium],
        }
        for serial in serials
    ]
    return import_meters(conn, table_of("meters of the file", rows), utility=utility, time_zone="UTC", actor="replay")
