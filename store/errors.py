"""Errors of the store that a user may see."""

from metrology.errors import InvalidInputError, MeterproofError


class StoreError(MeterproofError):
    """The database can't do what was asked, and asking again won't help."""

    status = 500
    title = "Storage error"


class MigrationError(StoreError):
    """The database's schema does not fit this software."""

    title = "Schema mismatch"


class ImportRefusedError(InvalidInputError):
    """A file was refused as a whole; nothing of it was used, which `refused` says.

    `problems` holds the first faults found, each naming line, column, value and what was expected; `total` counts all.
    """

    title = "Import refused"

    def __init__(self, source: str, problems: list[str], total: int, refused: str = "nothing was imported") -> None:
        self.source, self.problems, self.total = source, tuple(problems), total
        count = "1 fault" if total == 1 else f"{total} faults"
        more = [f"... and {total - len(problems)} more"] if total > len(problems) else []
        super().__init__("\n  ".join([f"{source}: {refused}, {count}:", *problems, *more]))
