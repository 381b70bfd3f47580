"""Cells of an imported table to values; every fault is noted with its place and what was expected."""

import difflib
import re
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from metrology.errors import InvalidInputError
from store.errors import ImportRefusedError
from store.tables import Table, TableRow

MAX_PROBLEMS: Final = 20
MAX_NAME_LENGTH: Final = 128
_DATE: Final = re.compile(
    r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?\s*(Z|[+-]\d{2}:?\d{2})?)?"
)
_ROUNDED_NAME: Final = re.compile(r"\d(?:[.,]\d+)?E\+\d+", re.IGNORECASE)
# No meter, place or zone of today is older, and none is planned for longer than a year ahead: another date is a misread
# or made-up one (0001-01-01, 9999-12-31), and would bend every balance that it bounds.
EARLIEST: Final = datetime(1950, 1, 1, tzinfo=UTC)
_AHEAD: Final = timedelta(days=366)
_LONGEST_SHOWN: Final = 80
_OFFSET: Final = re.compile(r"([+-])(\d{2}):?(\d{2})")
# What stands behind a meter's or zone's name in an address of the interface.
_RESERVED_ENDS: Final = ("/readings", "/readings/downsampled", "/site-tests")
# Characters that no one sees and that keep a name from being found: controls, zero-width marks, halves of pairs.
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff\ud800-\udfff]")


class Problems:
    """The faults found in a file: the first ones, and how many there are. `refused`: what they lead to."""

    def __init__(self, source: str, refused: str = "nothing was imported") -> None:
        self.source, self.refused, self.total = source, refused, 0
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, column: str, value: object, expected: str) -> None:
        """Notes a fault; `expected` says what would have been right, or what to do."""
        self.total += 1
        if len(self._found) < MAX_PROBLEMS:
            shown = shown_value(str(value)) if value != "" else "empty"
            self._found.append((line, f"line {line}, column {column}: {shown}; expected {expected}"))

    @property
    def first(self) -> tuple[str, ...]:
        """The first faults, by line."""
        return tuple(text for _, text in sorted(self._found))

    def refuse_if_any(self) -> None:
        """Raises ImportRefusedError with the faults, if there are any."""
        if self.total:
            raise ImportRefusedError(self.source, list(self.first), self.total, self.refused)


def shown_value(text: str) -> str:
    """A value for a message: quoted, and shortened where it is long."""
    if len(text) <= _LONGEST_SHOWN:
        return repr(text)
    return f"{text[:_LONGEST_SHOWN]!r}... ({len(text):,} characters)"


def is_reserved_name(text: str) -> bool:
    """True for a name that an address of the interface could not hold: it would mean something else."""
    return text in (".", "..") or text.endswith(_RESERVED_ENDS)


class RowReader:
    """Reads the cells of one row after the other by column name.

    A cell that is empty or whose column is absent gives the default; a wrong one is noted and gives the default too.
    """

    def __init__(self, table: Table, problems: Problems) -> None:
        self._at = {column: position for position, column in enumerate(table.columns)}
        self._problems = problems
        self._row = TableRow(0, ())

    def start(self, row: TableRow) -> None:
        """The row to read from now on."""
        self._row = row

    def raw(self, column: str) -> str:
        """The cell's text."""
        position = self._at.get(column)
        return "" if position is None else self._row.cells[position]

    def fault(self, column: str, expected: str) -> None:
        """Notes this row's cell as wrong."""
        self._problems.add(self._row.line, column, self.raw(column), expected)

    def name(self, column: str, *, required: bool = False, in_address: bool = False) -> str:
        """A name or other text of at most 128 characters; `in_address`: one by which things are found over HTTP."""
        text = self.raw(column)
        if not text:
            if required:
                self.fault(column, "a text")
        elif _ROUNDED_NAME.fullmatch(text):
            self.fault(column, "all digits; the spreadsheet rounded them: format the column as text")
        elif _UNSEEN.search(text):
            self.fault(column, "a text on one line, without invisible characters; type it anew")
        elif len(text) > MAX_NAME_LENGTH:
            self.fault(column, f"at most {MAX_NAME_LENGTH} characters")
        elif in_address and is_reserved_name(text):
            self.fault(column, "another name: an address that ends so would mean something else")
        else:
            return text
        return ""

    def choice(self, column: str, choices: Collection[str], default: str = "") -> str:
        """One of `choices`; without a default the cell must not be empty."""
        text = self.raw(column) or default
        if text not in choices:
            self.fault(column, "one of " + ", ".join(choices))
            return default
        return text

    def decimal(self, column: str, default: Decimal | None = None) -> Decimal | None:
        """An exact decimal number."""
        text = self.raw(column)
        if not text:
            return default
        try:
            value = Decimal(text)
        except InvalidOperation:
            comma = " with a point before its decimals" if "," in text else ""
            self.fault(column, f"a number{comma}")
            return default
        # The bounds keep a short text such as 1e999999 from becoming a huge integer.
        if not value.is_finite() or not -30 < value.adjusted() < 19:
            self.fault(column, "a number of ordinary size")
            return default
        return value

    def positive(self, column: str, default: Decimal | None = None, *, or_zero: bool = False) -> Decimal | None:
        """An exact decimal number above 0 (or 0 itself)."""
        value = self.decimal(column, default)
        if value is not None and not (value > 0 or (or_zero and value == 0)):
            self.fault(column, "a number of at least 0" if or_zero else "a number above 0")
            return default
        return value

    def integer(self, column: str, lowest: int, highest: int, default: int | None = None) -> int | None:
        """A whole number from `lowest` to `highest`."""
        value = self.decimal(column)
        if value is None:
            return default
        if value != value.to_integral_value() or not lowest <= value <= highest:
            self.fault(column, f"a whole number from {lowest} to {highest}")
            return default
        return int(value)

    def day(self, column: str, *, required: bool = False) -> date | None:
        """A date, YYYY-MM-DD."""
        text = self.raw(column)
        if not text:
            if required:
                self.fault(column, "a date as YYYY-MM-DD")
            return None
        match = _DATE.fullmatch(text)
        # Spreadsheets write a date as the midnight it begins with.
        if match is None or any(int(part) for part in match.group(5, 6, 7, 8) if part):
            self.fault(column, "a date as YYYY-MM-DD")
            return None
        try:
            return date(int(match[1]), int(match[3]), int(match[4]))
        except ValueError:
            self.fault(column, "a date that exists")
            return None

    def time(self, column: str, zone: tzinfo) -> datetime | None:
        """A date (its first moment) or date and time, in UTC; local time of `zone` where no offset is written.

        It lies between 1950 and a year from today.
        """
        time = self._moment(column, zone)
        latest = datetime.now(UTC) + _AHEAD
        if time is not None and not EARLIEST <= time <= latest:
            self.fault(column, f"a date from 1950-01-01 to {latest:%Y-%m-%d}, a year from today")
            return None
        return time

    def _moment(self, column: str, zone: tzinfo) -> datetime | None:
        text = self.raw(column)
        if not text:
            return None
        match = _DATE.fullmatch(text)
        if match is None:
            self.fault(column, "a date as YYYY-MM-DD, or a time as YYYY-MM-DDThh:mm:ss with or without +hh:mm")
            return None
        fraction, offset = match.group(8, 9)
        microsecond = int((fraction or "0").ljust(6, "0")[:6])
        try:
            parts = [int(part or 0) for part in match.group(1, 3, 4, 5, 6, 7)]
            local = datetime(*parts, microsecond, tzinfo=zone)  # type: ignore[arg-type, misc]  # six integers
            if offset:
                written = f"{local.replace(tzinfo=None).isoformat()}{offset}"
                return datetime.fromisoformat(written).astimezone(UTC)
            return self._in_zone(column, local)
        except (ValueError, OverflowError):
            self.fault(column, "a date and time that exist")
            return None

    def _in_zone(self, column: str, local: datetime) -> datetime | None:
        if local.utcoffset() != local.replace(fold=1).utcoffset():
            self.fault(column, f"a time with its offset (+hh:mm): {local.tzinfo}'s clocks were changed in this hour")
            return None
        return local.astimezone(UTC)


def read_zone(time_zone: str) -> tzinfo:
    """The time zone of that IANA name, or the fixed offset (`+08:00`). Raises InvalidInputError."""
    offset = _OFFSET.fullmatch(time_zone)
    if offset and int(offset[2]) < 24 and int(offset[3]) < 60:
        length = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(length if offset[1] == "+" else -length)
    try:
        return ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInputError(
            f"time zone {shown_value(time_zone)} is unknown; use an IANA name such as Asia/Shanghai or Europe/Madrid,"
            " or an offset such as +08:00"
        ) from None


def check_columns(table: Table, required: Collection[str], known: Collection[str]) -> list[str]:
    """Refuses a table without the required columns or with one whose name is nearly a known one.

    Returns the other columns, which are ignored. Raises InvalidInputError.
    """
    missing = [column for column in required if column not in table.columns]
    unknown = [column for column in table.columns if column not in known]
    for column in unknown:
        close = difflib.get_close_matches(column, [name for name in known if name not in table.columns], 1, 0.8)
        if close:
            raise InvalidInputError(f"{table.source}: column {column!r} is unknown; did you mean {close[0]!r}?")
    if missing:
        raise InvalidInputError(
            f"{table.source}: column {', '.join(map(repr, missing))} is missing; its first line names"
            f" {', '.join(map(repr, table.columns))}"
        )
    return unknown
