"""What every import has in common: its utility, its summary, its entry in the audit log."""

import re
from dataclasses import dataclass
from typing import Any, Final

from metrology.errors import InvalidInputError
from store.cells import shown_value
from store.tables import Table

_UTILITY_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What an import did: meters (or zones, standards, parts of zones) by what became of them, and readings released.

    `changed` counts also those that the file does not name, such as a meter that was exchanged. `zones_created` are
    zones that a meters file named first; `ignored_columns` are columns that mean nothing to the import.
    """

    added: int
    changed: int
    unchanged: int
    released: int
    registry_version: int
    zones_created: tuple[str, ...] = ()
    ignored_columns: tuple[str, ...] = ()


def check_utility(code: str) -> None:
    """Raises InvalidInputError if this can't be a utility's code."""
    if not _UTILITY_CODE.fullmatch(code):
        raise InvalidInputError(
            f"utility {shown_value(code)}: use at most 63 letters (a-z), digits, dots, dashes and underscores,"
            " as in MQTT topics"
        )


def audit_detail(table: Table, summary: ImportSummary) -> dict[str, Any]:
    """What the audit log says of an import as a whole."""
    return {
        "file": table.source,
        "rows": len(table.rows),
        "added": summary.added,
        "changed": summary.changed,
        "unchanged": summary.unchanged,
        "released": summary.released,
        "registry_version": summary.registry_version,
    }
