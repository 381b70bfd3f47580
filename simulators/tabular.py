"""Files of readings in blocks of bounded size: CSV (plain, .gz, inside .zip) and Parquet, with their line numbers.

A line that is not a row (wrong number of columns, not the stated encoding) is rejected by itself: no quote or break
in one line can swallow the next, so a row never spans lines.
"""

import csv
import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from metrology.errors import InvalidInputError
from simulators.mapping import FileFormat

BLOCK_BYTES: Final = 8 << 20
PARQUET_ROWS: Final = 1 << 17
LONGEST_LINE_BYTES: Final = 1 << 20
_SHOWN: Final = 120  # characters of a bad value that are repeated


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that could not be read: where, what stands there, and why."""

    line: int
    column: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of a file: line numbers, shape (n,), the wanted columns of length n, and the lines that are no rows."""

    lines: NDArray[np.int64]
    columns: dict[str, pa.Array]
    rejects: list[Reject] = field(default_factory=list)


class _Readable(Protocol):
    """What plain, gzip and zip streams have in common."""

    def read(self, size: int, /) -> bytes: ...


def read_blocks(path: Path, form: FileFormat, wanted: list[str], block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """The file's blocks in order. Raises InvalidInputError if it can't be opened, is damaged, or lacks a column."""
    try:
        if is_parquet(path):
            yield from _parquet_blocks(path, wanted)
        else:
            with _open_text(path, form) as stream:
                yield from _CsvReader(stream, str(path), form, wanted, block_bytes).blocks()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidInputError(f"{path}: {reason}; give a readable CSV, .gz, .zip or Parquet file") from None
    except (EOFError, NotImplementedError, zlib.error, zipfile.BadZipFile, pa.ArrowException) as error:
        raise InvalidInputError(f"{path} is damaged or not of its kind: {error}; fetch it again") from None


def is_parquet(path: Path) -> bool:
    """Whether the file is Parquet, by its name or its first bytes. Raises OSError where it can't be read."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return True
    with path.open("rb") as stream:
        return stream.read(4) == b"PAR1"


def read_header(path: Path, form: FileFormat) -> list[str]:
    """The names of the file's columns as they stand there, without knowing what is wanted. Raises InvalidInputError.

    A CSV of nothing gives an empty list.
    """
    try:
        if is_parquet(path):
            with pq.ParquetFile(path) as file:
                return list(file.schema_arrow.names)
        with _open_text(path, form) as stream:
            head = stream.read(LONGEST_LINE_BYTES).removeprefix(b"\xef\xbb\xbf")
        line = head.partition(b"\n")[0].removesuffix(b"\r").decode(form.encoding)
    except OSError as error:
        raise InvalidInputError(f"{path}: {error.strerror or error}; give a readable CSV or Parquet file") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"{path}, line 1: is not {form.encoding}; name the file's encoding") from None
    except (EOFError, NotImplementedError, zlib.error, zipfile.BadZipFile, pa.ArrowException) as error:
        raise InvalidInputError(f"{path} is damaged or not of its kind: {error}; fetch it again") from None
    return (_split(line, form) or []) if line.strip() else []


@contextmanager
def _open_text(path: Path, form: FileFormat) -> Iterator[_Readable]:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        with gzip.open(path) as stream:
            yield stream
    elif suffix == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(_member(path, archive, form.member)) as stream:
            yield stream
    else:
        with path.open("rb") as stream:
            yield stream


def _member(path: Path, archive: zipfile.ZipFile, pattern: str) -> zipfile.ZipInfo:
    files = [info for info in archive.infolist() if not info.is_dir()]
    found = [info for info in files if fnmatch(info.filename, pattern)]
    if len(found) != 1:
        names = ", ".join(info.filename for info in files[:10]) or "nothing"
        raise InvalidInputError(
            f"{path}: {len(found)} of its files fit file.member = {pattern!r}; name one of: {names}"
        )
    if found[0].flag_bits & 1:
        raise InvalidInputError(f"{path}: {found[0].filename} is encrypted; unpack it first")
    return found[0]


class _CsvReader:
    """One pass through a CSV stream."""

    def __init__(self, stream: _Readable, name: str, form: FileFormat, wanted: list[str], block_bytes: int) -> None:
        self.stream, self.name, self.form, self.wanted, self.block_bytes = stream, name, form, wanted, block_bytes
        self.line = 1
        self.names: list[str] = []
        self.places: list[int] = []

    def blocks(self) -> Iterator[Block]:
        for number, raw in enumerate(self._raw_blocks()):
            data, undecodable = _to_utf8(raw.replace(b"\r\n", b"\n"), self.form.encoding)
            rest = self._take_header(data) if number == 0 else data
            if rest:
                # The header, if there is one, is line 1.
                shift = 1 if len(rest) != len(data) and not self.form.header else 0
                yield self._block(rest, {line - shift: text for line, text in undecodable.items()})
        if not self.names:
            raise InvalidInputError(f"{self.name} is empty; expected a header line with the columns of the mapping")

    def _raw_blocks(self) -> Iterator[bytes]:
        """Blocks of whole lines, each ending in a line feed."""
        rest = b""
        while True:
            read = self.stream.read(self.block_bytes)
            if not read:
                break
            end = read.rfind(b"\n") + 1
            if end:
                yield rest + read[:end]
            rest = read[end:] if end else rest + read
            if len(rest) > max(LONGEST_LINE_BYTES, self.block_bytes):
                raise InvalidInputError(
                    f"{self.name}: a line of more than {len(rest)} bytes; is it a text file with line feeds?"
                )
        if rest:
            yield rest + b"\n"

    def _take_header(self, data: bytes) -> bytes:
        data = data.removeprefix(b"\xef\xbb\xbf")
        if self.form.header:
            self._locate(list(self.form.header))
            return data
        head, _, rest = data.partition(b"\n")
        self._locate(_split(head.decode(), self.form) or [])
        self.line = 2
        return rest

    def _locate(self, names: list[str]) -> None:
        missing = [name for name in self.wanted if names.count(name) != 1]
        if missing:
            raise InvalidInputError(
                f"{self.name}, line 1: column {missing[0]!r} of the mapping stands there {names.count(missing[0])}"
                f" times instead of once; found {names!r} (separator {self.form.separator!r})"
            )
        self.names = names
        self.places = [names.index(name) for name in self.wanted]

    def _block(self, data: bytes, undecodable: dict[int, str]) -> Block:
        characters = np.frombuffer(data, dtype=np.uint8)
        ends = np.flatnonzero(characters == ord("\n"))
        starts = np.append(0, ends[:-1] + 1)
        odd = self._odd_lines(characters, ends)
        odd[list(undecodable)] = True
        first, self.line = self.line, self.line + len(ends)
        columns = self._plain_columns(self._plain_bytes(data, characters, odd, ends - starts + 1))
        lines = np.flatnonzero(~odd) + first
        rejects: list[Reject] = []
        odd_rows: list[list[str]] = []
        odd_numbers: list[int] = []
        for i in np.flatnonzero(odd):
            number = first + int(i)
            if int(i) in undecodable:
                text = undecodable[int(i)]
                rejects.append(Reject(number, "", text[:_SHOWN], f"is not {self.form.encoding} text"))
                continue
            text = data[starts[i] : ends[i]].decode()
            fields = _split(text, self.form)
            if fields is None or len(fields) != len(self.names):
                rejects.append(Reject(number, "", text[:_SHOWN], self._why(text, fields)))
                continue
            odd_rows.append([fields[place] for place in self.places])
            odd_numbers.append(number)
        if odd_rows:
            lines, columns = _merge(lines, columns, np.array(odd_numbers, dtype=np.int64), odd_rows)
        return Block(lines, dict(zip(self.wanted, columns, strict=True)), rejects)

    def _odd_lines(self, characters: NDArray[np.uint8], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Lines that need a look of their own: not the right number of separators, an odd quote, a carriage return."""
        separators = np.flatnonzero(characters == ord(self.form.separator))
        counts = np.diff(np.append(0, np.searchsorted(separators, ends)))
        odd: NDArray[np.bool_] = counts != len(self.names) - 1
        odd[np.searchsorted(ends, np.flatnonzero(characters == ord("\r")))] = True
        if self.form.quote:
            odd |= self._oddly_quoted(characters, separators, ends)
        return odd

    def _oddly_quoted(
        self, characters: NDArray[np.uint8], separators: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Lines with a quote that does more than stand around a whole field that holds neither separator nor quote."""
        quotes = np.flatnonzero(characters == ord(self.form.quote))
        odd = np.zeros(len(ends), dtype=np.bool_)
        if not len(quotes):
            return odd
        boundary = np.isin(characters, np.frombuffer(f"{self.form.separator}\n".encode(), dtype=np.uint8))
        opens = (quotes == 0) | boundary[np.maximum(quotes - 1, 0)]
        closes = boundary[np.minimum(quotes + 1, len(characters) - 1)]
        line = np.searchsorted(ends, quotes)
        number = np.arange(len(quotes)) - np.searchsorted(line, line)  # of the quote within its line
        even = number % 2 == 0
        wrong = (opens == closes) | (opens != even)
        # The partner of an opening quote is the next one: in the same line, and with no separator between.
        following = np.append(quotes[1:], quotes[-1])
        same_line = np.append(line[1:] == line[:-1], False)
        passed = np.searchsorted(separators, following) - np.searchsorted(separators, quotes)
        wrong |= even & (~same_line | (passed != 0))
        odd[line[wrong]] = True
        return odd

    def _plain_bytes(
        self, data: bytes, characters: NDArray[np.uint8], odd: NDArray[np.bool_], lengths: NDArray[np.int64]
    ) -> bytes:
        """The lines that are not odd, without the quotes around their fields."""
        quoted = bool(self.form.quote) and self.form.quote.encode() in data
        if not odd.any() and not quoted:
            return data
        kept = np.repeat(~odd, lengths)
        if quoted:
            kept &= characters != ord(self.form.quote)
        return characters[kept].tobytes()

    def _plain_columns(self, data: bytes) -> list[pa.Array]:
        if not data:
            return [pa.array([], type=pa.string()) for _ in self.wanted]
        labels = [str(place) for place in range(len(self.names))]
        table = pa.csv.read_csv(
            pa.BufferReader(data),
            read_options=pa.csv.ReadOptions(column_names=labels, block_size=len(data) + 1, use_threads=False),
            parse_options=pa.csv.ParseOptions(
                delimiter=self.form.separator, quote_char=False, ignore_empty_lines=False, newlines_in_values=False
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(labels, pa.string()),
                include_columns=list(dict.fromkeys(str(place) for place in self.places)),
                check_utf8=False,  # checked when decoded
            ),
        )
        return [table[str(place)].combine_chunks() for place in self.places]

    def _why(self, text: str, fields: list[str] | None) -> str:
        if not text.strip():
            return "the line is empty"
        if fields is None:
            return "a quote is not closed in its line"
        return f"has {len(fields)} columns instead of {len(self.names)}"


def _to_utf8(raw: bytes, encoding: str) -> tuple[bytes, dict[int, str]]:
    """The block in UTF-8, and what can't be decoded: line (from 0) -> its text with the bad bytes shown."""
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        lines = raw.removesuffix(b"\n").split(b"\n")
        bad: dict[int, str] = {}
        for i, line in enumerate(lines):
            try:
                lines[i] = line.decode(encoding).encode()
            except UnicodeDecodeError:
                bad[i] = line.decode("ascii", errors="backslashreplace")
                lines[i] = b""
        return b"\n".join(lines) + b"\n", bad
    return (raw if encoding == "utf-8" else text.encode()), {}


def _split(line: str, form: FileFormat) -> list[str] | None:
    """The fields of one line; None if a quote in it is not closed."""
    if not form.quote or form.quote not in line:
        return line.split(form.separator)
    try:
        return next(csv.reader([line], delimiter=form.separator, quotechar=form.quote, strict=True), [])
    except csv.Error:
        return None


def _merge(
    lines: NDArray[np.int64], columns: list[pa.Array], odd_lines: NDArray[np.int64], odd_rows: list[list[str]]
) -> tuple[NDArray[np.int64], list[pa.Array]]:
    all_lines = np.concatenate([lines, odd_lines])
    order = np.argsort(all_lines)
    place = pa.array(order)
    odd_columns = zip(*odd_rows, strict=True)
    merged = [
        pa.concat_arrays([column, pa.array(odd, type=pa.string())]).take(place)
        for column, odd in zip(columns, odd_columns, strict=True)
    ]
    return all_lines[order], merged


def _parquet_blocks(path: Path, wanted: list[str]) -> Iterator[Block]:
    """A Parquet file's rows; the "line" is the row's number from 1."""
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        missing = [name for name in wanted if names.count(name) != 1]
        if missing:
            raise InvalidInputError(f"{path}: no column {missing[0]!r} of the mapping; found {names!r}")
        row = 1
        for batch in file.iter_batches(batch_size=PARQUET_ROWS, columns=wanted):
            lines = np.arange(row, row + batch.num_rows, dtype=np.int64)
            row += batch.num_rows
            yield Block(lines, {name: _plain(batch.column(name)) for name in wanted})


def _plain(column: pa.Array) -> pa.Array:
    decode: Callable[[], pa.Array] | None = getattr(column, "dictionary_decode", None)
    return decode() if decode else column
