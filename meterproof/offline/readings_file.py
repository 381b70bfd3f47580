"""A file of readings, CSV or Parquet, as exact registers in UTC; wrong rows are told with line, column and value."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from meterproof.offline.times import TIME_EXPECTED, ZONE_EXPECTED, parse_observed_at, to_utc
from metrology.errors import InvalidInputError
from metrology.quantities import Medium, micro_per_unit
from metrology.status import ReadingStatus
from simulators.local_time import parse_zone
from simulators.mapping import ENCODINGS, FileFormat
from simulators.parsing import parse_integers, parse_registers
from simulators.tabular import Block, is_parquet, read_blocks, read_header
from store.cells import MAX_PROBLEMS, Problems, check_columns
from store.file_registry import REFUSED
from store.readings import READING
from store.registry import Meter
from store.tables import Table, separator_of

REQUIRED: Final = ("meter", "observed_at", "register")
KNOWN: Final = (*REQUIRED, "unit", "status")
_MAX_STATUS: Final = 2**15 - 1


@dataclass(frozen=True)
class FileReadings:
    """What a file of readings holds.

    `rows`: READING in file order, `batch_id` being the line (Parquet: the row's number). `unknown` counts the rows of
    meters that the meters file does not name; `skipped` the bad rows left out, of which `faults` tells the first;
    `by_rule` the rows in an hour that occurs twice.
    """

    rows: NDArray[np.void]
    lines: int
    skipped: int = 0
    faults: tuple[str, ...] = ()
    unknown: Mapping[str, int] = field(default_factory=dict)
    by_rule: int = 0
    ignored_columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadingOptions:
    """How a file is to be read: `time_zone` of times without offset (empty: there may be none), and bad rows."""

    time_zone: str = ""
    encoding: ENCODINGS = "utf-8"
    skip_bad_rows: bool = False


def read_readings(
    path: Path,
    meters: Mapping[str, Meter],
    options: ReadingOptions,
    on_lines: Callable[[int], None] = lambda _: None,
) -> FileReadings:
    """The readings of the meters (by serial); `on_lines` is told how many lines have been read so far.

    Raises ImportRefusedError with the first faults unless bad rows are to be skipped, InvalidInputError if the file
    can't be read or lacks a column, or if not one row can be used.
    """
    form = FileFormat(encoding=options.encoding)
    if not _is_parquet(path):
        form = FileFormat(encoding=options.encoding, separator=_separator(path, form))
    header = read_header(path, form)
    names = {name.strip().lower(): name for name in header}
    ignored = check_columns(Table(str(path), tuple(names), ()), REQUIRED, KNOWN)
    reader = _Reader(path, meters, options, {name: names[name] for name in KNOWN if name in names})
    for block in read_blocks(path, form, list(reader.columns.values())):
        reader.add(block)
        on_lines(reader.lines)
    return reader.finish(tuple(ignored))


def _is_parquet(path: Path) -> bool:
    try:
        return is_parquet(path)
    except OSError as error:
        raise InvalidInputError(f"{path}: {error.strerror}; check the path and its permissions") from None


def _separator(path: Path, form: FileFormat) -> str:
    """The separator of the header line: a comma, semicolon or tab."""
    # Read as one single column: no header holds this character.
    whole = read_header(path, FileFormat(encoding=form.encoding, separator="\x1f", quote=""))
    if not whole:
        raise InvalidInputError(f"{path}: the file is empty; its first line must name {', '.join(REQUIRED)}")
    return separator_of("\x1f".join(whole))


class _Reader:
    """Gathers blocks; local times wait until all of a meter's rows are known."""

    def __init__(
        self, path: Path, meters: Mapping[str, Meter], options: ReadingOptions, columns: Mapping[str, str]
    ) -> None:
        self.columns, self.lines = columns, 0
        self._path, self._options, self._meters = path, options, meters
        self._problems = Problems(str(path), REFUSED)
        self._zone = parse_zone(options.time_zone or "UTC")
        self._factor = _factors(meters.values())
        self._parts: list[NDArray[np.void]] = []
        self._utc: list[NDArray[np.bool_]] = []
        self._unknown: dict[str, int] = {}

    def add(self, block: Block) -> None:
        self.lines += len(block.lines) + len(block.rejects)
        for reject in block.rejects:
            if reject.value.strip():
                self._problems.add(reject.line, "all", reject.value, f"a readable row: it {reject.reason}")
            else:
                self.lines -= 1
        column = {name: block.columns[there] for name, there in self.columns.items()}
        good = _Good(block, self.columns, self._problems)
        meter = self._meter_of(column["meter"], good)
        times = parse_observed_at(column["observed_at"])
        good.need(~times.bad, "observed_at", TIME_EXPECTED)
        if not self._options.time_zone:
            good.need(times.utc, "observed_at", ZONE_EXPECTED)
        register = self._registers(column, meter, good)
        status = np.zeros(len(meter), dtype=np.int64)
        if "status" in column:
            filled = pc.replace_with_mask(texts := _texts(column["status"]), pc.equal(texts, ""), "0")
            status, bad = parse_integers(filled, 0, _MAX_STATUS)
            good.need(~bad, "status", f"a whole number from 0 to {_MAX_STATUS}, or nothing")
        part = np.zeros(len(meter), dtype=READING)
        part["observed_us"], part["register_micro"], part["batch_id"] = times.time_us, register, block.lines
        part["meter_id"], part["status"] = meter, status
        kept = good.mask & (meter >= 0)
        self._parts.append(part[kept])
        self._utc.append(times.utc[kept])

    def _meter_of(self, values: pa.Array, good: "_Good") -> NDArray[np.int64]:
        """The meter's id in each row, -1 for one that the meters file does not name."""
        if pa.types.is_floating(values.type):
            raise InvalidInputError(
                f"{self._path}: column 'meter' holds numbers ({values.type}); write it as text to keep its digits"
            )
        encoded = pc.dictionary_encode(_texts(values))
        names, codes = encoded.dictionary.to_pylist(), np.asarray(encoded.indices)
        ids = np.array([self._meters[name].meter_id if name in self._meters else -1 for name in names], dtype=np.int64)
        good.need(np.array([bool(name) for name in names], dtype=np.bool_)[codes], "meter", "a meter's serial")
        counts = np.bincount(codes, minlength=len(names))
        for name, meter_id, count in zip(names, ids.tolist(), counts.tolist(), strict=True):
            if meter_id < 0 and name:
                self._unknown[name] = self._unknown.get(name, 0) + count
        found: NDArray[np.int64] = ids[codes]
        return found

    def _registers(self, column: Mapping[str, pa.Array], meter: NDArray[np.int64], good: "_Good") -> NDArray[np.int64]:
        register, read = np.zeros(len(meter), dtype=np.int64), np.ones(len(meter), dtype=np.bool_)
        factors, kind = self._factor_of_rows(column, meter, good)
        values = column["register"]
        values = _texts(values) if pa.types.is_string(values.type) or pa.types.is_large_string(values.type) else values
        for number, factor in enumerate(factors):
            mine = kind == number
            if mine.all():
                register, bad = parse_registers(values, factor)
                read = ~bad
            elif mine.any():
                register[mine], bad = parse_registers(values.filter(pa.array(mine)), factor)
                read[mine] = ~bad
        read &= register >= 0
        good.need(read, "register", "a number of ordinary size and not negative, with a point before its decimals")
        return register

    def _factor_of_rows(
        self, column: Mapping[str, pa.Array], meter: NDArray[np.int64], good: "_Good"
    ) -> tuple[list[Fraction], NDArray[np.int64]]:
        """The distinct factors into millionths, and which of them holds in each row (-1: none, it is not looked at)."""
        factors, of_meter, media = self._factor
        kind = np.where(meter >= 0, of_meter[meter], -1)
        if "unit" not in column:
            return factors, kind
        factors = list(factors)
        units = pc.dictionary_encode(_texts(column["unit"]))
        codes = np.asarray(units.indices)
        known = np.ones(len(meter), dtype=np.bool_)
        for code, unit in enumerate(units.dictionary.to_pylist()):
            if not unit:
                continue  # as the meters file says
            for number, medium in enumerate(Medium):
                mine = (codes == code) & (meter >= 0) & (media[meter] == number)
                if not mine.any():
                    continue
                try:
                    factor = micro_per_unit(unit, medium)
                except InvalidInputError:
                    known &= ~mine
                    continue
                factors += [] if factor in factors else [factor]
                kind[mine] = factors.index(factor)
        good.need(known, "unit", "a unit of the meter's medium (kWh, Wh, MWh; m3, L, ...), or nothing")
        return factors, kind

    def finish(self, ignored: tuple[str, ...]) -> FileReadings:
        rows = np.concatenate([np.zeros(0, dtype=READING), *self._parts])
        utc = np.concatenate([np.zeros(0, dtype=np.bool_), *self._utc])
        by_rule = 0
        if len(rows):
            placed = to_utc(rows["observed_us"], utc, rows["meter_id"], rows["register_micro"], self._zone)
            rows["observed_us"], ambiguous, never = placed
            rows["status"] |= np.where(ambiguous, np.int16(ReadingStatus.TIME_AMBIGUOUS), np.int16(0))
            expected = f"a time that existed: in {self._options.time_zone} the clocks were set forward over it"
            for row in rows[never]:
                self._problems.add(int(row["batch_id"]), "observed_at", _shown(int(row["observed_us"])), expected)
            rows, by_rule = rows[~never], int(ambiguous.sum())
        faults: tuple[str, ...] = ()
        if self._problems.total and self._options.skip_bad_rows:
            faults = self._problems.first
        else:
            self._problems.refuse_if_any()
        if self.lines and not len(rows) and not self._unknown:
            raise InvalidInputError(f"{self._path}: not one of {self.lines:,} rows can be used; {'; '.join(faults)}")
        return FileReadings(rows, self.lines, self._problems.total, faults, self._unknown, by_rule, ignored)


def _factors(meters: Iterable[Meter]) -> tuple[list[Fraction], NDArray[np.int64], NDArray[np.int64]]:
    """The distinct factors into millionths; by meter_id (and one place more for -1) which holds, and the medium."""
    listed = list(meters)
    factors: list[Fraction] = []
    of_meter = np.zeros(len(listed) + 1, dtype=np.int64)
    media = np.zeros(len(listed) + 1, dtype=np.int64)
    for meter in listed:
        medium = Medium(meter.medium)
        factor = micro_per_unit(meter.unit, medium)
        factors += [] if factor in factors else [factor]
        of_meter[meter.meter_id] = factors.index(factor)
        media[meter.meter_id] = list(Medium).index(medium)
    return factors, of_meter, media


class _Good:
    """The rows of a block that can be used; a row is told once, for its first fault."""

    def __init__(self, block: Block, columns: Mapping[str, str], problems: Problems) -> None:
        self._block, self._columns, self._problems = block, columns, problems
        self.mask = np.ones(len(block.lines), dtype=np.bool_)

    def need(self, holds: NDArray[np.bool_], column: str, expected: str) -> None:
        """Notes the rows for which it does not hold."""
        wrong = np.flatnonzero(~holds & self.mask)
        for row in wrong[:MAX_PROBLEMS]:
            value = self._block.columns[self._columns[column]][int(row)].as_py()
            self._problems.add(int(self._block.lines[row]), column, "" if value is None else value, expected)
        self._problems.total += max(len(wrong) - MAX_PROBLEMS, 0)
        self.mask &= holds


def _texts(values: pa.Array) -> pa.Array:
    return pc.utf8_trim_whitespace(pc.fill_null(values.cast(pa.string()), ""))


def _shown(time_us: int) -> str:
    return str(np.datetime64(time_us, "us").astype("datetime64[s]"))
