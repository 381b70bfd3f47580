"""Tables from outside: CSV as spreadsheets write it, and Parquet, as texts with their line numbers."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metrology.errors import InvalidInputError

_SEPARATORS: Final = ",;\t"
_PARQUET_MAGIC: Final = b"PAR1"
# Names of things: a number that was read as a float has lost digits or leading zeros.
_NAMES: Final = frozenset({"meter", "service_point", "zone", "parent", "code", "lot", "certificate", "standard"})


class TableRow(NamedTuple):
    """A row's cells, stripped, in the order of the table's columns, and the line it starts on (Parquet: its number)."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A file's rows; `source` names the file in messages; column names are in lower case."""

    source: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]


def read_table(path: Path, encoding: str | None = None) -> Table:
    """Reads a CSV (comma, semicolon or tab; UTF-8 unless `encoding` says otherwise) or Parquet file.

    Empty lines are skipped, cells stripped. Raises InvalidInputError naming file, line and remedy.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInputError(
            f"{path}: can't be read ({error.strerror}); check the path and its permissions"
        ) from None
    if content.startswith(_PARQUET_MAGIC):
        return _read_parquet(content, str(path))
    return parse_csv(_decode(content, str(path), encoding), str(path))


def parse_csv(text: str, source: str) -> Table:
    """The table of a CSV text, checked as `read_table` says."""
    separator = separator_of(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    records = _records(reader, source)
    try:
        header_line, header = next(records)
        if header[0].lower() == "sep=" and not any(header[1:]):  # a hint to spreadsheets
            header_line, header = next(records)
    except StopIteration:
        raise InvalidInputError(f"{source}: the file is empty; its first line must name the columns") from None
    columns = _checked_columns(header, f"{source}, line {header_line}")
    rows = []
    for line, cells in records:
        if len(cells) < len(columns) or any(cells[len(columns) :]):  # spreadsheets pad rows with empty cells
            raise InvalidInputError(
                f"{source}, line {line}: {len(cells)} cells where the header names {len(columns)} columns;"
                f" separate them by {_named(separator)} and quote cells that contain one"
            )
        rows.append(TableRow(line, tuple(cells[: len(columns)])))
    return Table(source, columns, tuple(rows))


def _records(reader: Any, source: str) -> Iterator[tuple[int, list[str]]]:
    """Records with any content, stripped, each with the line it starts on."""
    while True:
        line = reader.line_num + 1
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            raise InvalidInputError(f"{source}, line {line}: {error}; check the quotes of this line's cells") from None
        if any(cells):
            yield line, cells


def separator_of(text: str) -> str:
    """The separator that occurs most in the first line with content, outside of quotes."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    if line.lower().startswith("sep=") and len(line) > 4:
        return line[4]
    bare = "".join(line.split('"')[::2])
    return max(_SEPARATORS, key=lambda separator: (bare.count(separator), -_SEPARATORS.index(separator)))


def _named(separator: str) -> str:
    return {",": "commas", ";": "semicolons", "\t": "tabs"}.get(separator, repr(separator))


def _decode(content: bytes, source: str, encoding: str | None) -> str:
    try:
        if encoding is None and content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            encoding = "utf-16"  # what spreadsheets call "Unicode text"
        return content.decode("utf-8-sig" if encoding is None else encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        remedy = (
            "save the file as CSV UTF-8, or name its encoding (gb18030 for files of a Chinese spreadsheet)"
            if encoding is None
            else "name the encoding in which the file was saved"
        )
        raise InvalidInputError(
            f"{source}, line {line}: byte 0x{content[error.start]:02x} is not {encoding or 'UTF-8'}; {remedy}"
        ) from None
    except LookupError:
        raise InvalidInputError(f"encoding {encoding!r} is unknown; use utf-8 or gb18030, for example") from None


def _checked_columns(header: Iterable[str], place: str) -> tuple[str, ...]:
    columns = tuple(name.strip().lower() for name in header)
    while columns and not columns[-1]:
        columns = columns[:-1]
    for position, name in enumerate(columns):
        if not name:
            raise InvalidInputError(f"{place}: column {position + 1} has no name; name or delete it")
        if name in columns[:position]:
            raise InvalidInputError(f"{place}: column {name!r} occurs twice; delete or rename one")
    return columns


def _read_parquet(content: bytes, source: str) -> Table:
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(f"{source}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
    columns = _checked_columns(table.column_names, source)
    texts = [_texts(table.column(i), name, source) for i, name in enumerate(columns)]
    rows = (TableRow(number, cells) for number, cells in enumerate(zip(*texts, strict=True), start=1))
    return Table(source, columns, tuple(row for row in rows if any(row.cells)))


def _texts(column: Any, name: str, source: str) -> list[str]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_floating(kind):
        if name in _NAMES and column.null_count < len(column):
            raise InvalidInputError(
                f"{source}: column {name!r} holds numbers ({kind}); write it as text to keep its digits"
            )
        column = pc.if_else(pc.is_nan(column), None, column)
    try:
        return [(text or "").strip() for text in column.cast(pa.string()).to_pylist()]
    except pa.ArrowException:
        raise InvalidInputError(f"{source}: column {name!r} is of type {kind}; write it as text") from None
