"""A foreign file of readings, read, put into UTC and cut into messages: everything of a replay but the sending.

The rows stay in the file's order and the same file and mapping always give the same messages, so that a second replay
changes nothing. A line that can't be read is rejected with its number, column, value and reason; what can be read is
sent, however odd: judging it is the receiver's task. Memory: the file is read in blocks; about 30 bytes a line stay.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from metrology.errors import InvalidInputError
from metrology.quantities import micro_per_unit
from metrology.status import ReadingStatus
from simulators.local_time import localise_mixed, parse_zone
from simulators.mapping import Mapping
from simulators.parsing import parse_integers, parse_registers, parse_times
from simulators.payload import DEFAULT_ROWS, Encoding, Message, Sender, encode_messages
from simulators.repeated_hour import MeterRows, place_rows
from simulators.tabular import BLOCK_BYTES, Block, Reject, read_blocks

ROW: Final = np.dtype(
    [("observed_us", "<i8"), ("register_micro", "<i8"), ("line", "<i8"), ("meter", "<i4"), ("status", "<i2")]
)
_MAX_STATUS: Final = 2**15 - 1
_SHOWN: Final = 120
_LONGEST_SERIAL: Final = 128  # as in the registry


@dataclass(frozen=True, slots=True, eq=False)
class ReplayPlan:
    """A file ready to be sent.

    `rows` (dtype ROW, file order): UTC time [µs], register [micro], line, meter (an index of `serials`), status set.
    Every data line of the file is either in `rows` or in `rejects`.
    """

    source: str
    sender: Sender
    serials: tuple[str, ...]
    rows: NDArray[np.void]
    rejects: tuple[Reject, ...]
    readings_per_message: int = DEFAULT_ROWS

    @property
    def lines(self) -> int:
        """Data lines of the file: those that are sent and those that are rejected."""
        return len(self.rows) + len(self.rejects)

    @property
    def ambiguous_rows(self) -> int:
        """Rows whose local time occurred twice and whose pass was chosen by rule."""
        return int(np.count_nonzero(self.rows["status"] & np.int16(ReadingStatus.TIME_AMBIGUOUS)))

    @property
    def message_count(self) -> int:
        """Messages that `messages()` gives."""
        return -(-len(self.rows) // self.readings_per_message)

    def message_no(self) -> NDArray[np.int64]:
        """The number of the message that carries each row, shape (n,); within it rows keep their order."""
        return np.arange(len(self.rows)) // self.readings_per_message

    def messages(self, first: int = 0) -> Iterator[Message]:
        """The messages from number `first` on, made one by one; always the same bytes."""
        rows = self.rows[first * self.readings_per_message :]
        return encode_messages(
            self.sender,
            self.serials,
            rows["meter"],
            rows["observed_us"],
            rows["register_micro"],
            rows["status"],
            self.readings_per_message,
        )

    def digests(self) -> list[bytes]:
        """The messages' digests (16 bytes each), in order."""
        return [message.digest for message in self.messages()]

    def write_rejects(self, stream: TextIO) -> None:
        """The rejected lines as CSV: line, column, value, reason."""
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["line", "column", "value", "reason"])
        writer.writerows((reject.line, reject.column, reject.value, reject.reason) for reject in self.rejects)


def load_replay(
    path: Path,
    mapping: Mapping,
    *,
    readings_per_message: int = DEFAULT_ROWS,
    encoding: Encoding = "json",
    block_bytes: int = BLOCK_BYTES,
) -> ReplayPlan:
    """Reads the whole file. Raises InvalidInputError if it can't be opened, is damaged, or lacks a mapped column."""
    if not 1 <= readings_per_message <= 10_000:
        raise InvalidInputError(f"readings per message = {readings_per_message}; give a number from 1 to 10000")
    loader = _Loader(mapping)
    for block in read_blocks(path, mapping.file, loader.wanted, block_bytes):
        loader.add(block)
    rows, rejects = loader.finish()
    # A serial that stands in rejected lines only is nobody's.
    used, rows["meter"] = np.unique(rows["meter"], return_inverse=True)
    serials = list(loader.serials)
    return ReplayPlan(
        source=path.name,
        sender=Sender(mapping.utility, mapping.gateway, mapping.medium, encoding),
        serials=tuple(serials[i] for i in used),
        rows=rows,
        rejects=tuple(sorted(rejects, key=lambda reject: reject.line)),
        readings_per_message=readings_per_message,
    )


class _Loader:
    """Gathers blocks; local times wait until all of a meter's rows are known."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        columns = mapping.columns
        optional = [name for name in (columns.status, columns.unit) if name is not None]
        self.wanted = [columns.meter, columns.observed_at, columns.register_, *optional]
        self.serials: dict[str, int] = {}
        self.parts: list[NDArray[np.void]] = []
        self.utc_parts: list[NDArray[np.bool_]] = []
        self.rejects: list[Reject] = []

    def add(self, block: Block) -> None:
        columns, time_format = self.mapping.columns, self.mapping.time
        self.rejects += block.rejects
        refused = _Refused(block)
        meters = block.columns[columns.meter]
        meter, empty = self._meter_indices(meters)
        refused.add(columns.meter, empty, f"is no serial; expected 1 to {_LONGEST_SERIAL} printable characters")
        times = parse_times(block.columns[columns.observed_at], time_format.format)
        refused.add(columns.observed_at, times.bad, f"is no time of the form {time_format.format} from 1970 to 2199")
        register = self._registers(block, refused)
        status = np.zeros(len(meter), dtype=np.int64)
        if columns.status is not None:
            status, bad = parse_integers(block.columns[columns.status], 0, _MAX_STATUS)
            refused.add(columns.status, bad, f"is no status set; expected a whole number from 0 to {_MAX_STATUS}")
        self.rejects += refused.rejects
        part = np.zeros(len(meter), dtype=ROW)
        part["observed_us"], part["register_micro"], part["line"] = times.time_us, register, block.lines
        part["meter"], part["status"] = meter, status
        self.parts.append(part[~refused.mask])
        self.utc_parts.append(times.utc[~refused.mask])

    def _meter_indices(self, meters: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        encoded = pc.dictionary_encode(pc.fill_null(meters.cast(pa.string()), ""))
        names = encoded.dictionary.to_pylist()
        index = np.array([self.serials.setdefault(name, len(self.serials)) for name in names], dtype=np.int32)
        blank = np.array(
            [not name.strip() or not name.isprintable() or len(name) > _LONGEST_SERIAL for name in names],
            dtype=np.bool_,
        )
        codes = np.asarray(encoded.indices)
        return index[codes], blank[codes]

    def _registers(self, block: Block, refused: "_Refused") -> NDArray[np.int64]:
        columns, decimal = self.mapping.columns, self.mapping.file.decimal
        values = block.columns[columns.register_]
        reason = f"is no number in range, decimal sign {decimal!r}"
        if columns.unit is None:
            register, bad = parse_registers(values, micro_per_unit(self.mapping.unit, self.mapping.medium), decimal)
            refused.add(columns.register_, bad, reason)
            return register
        units = pc.dictionary_encode(pc.fill_null(block.columns[columns.unit].cast(pa.string()), ""))
        codes = np.asarray(units.indices)
        register = np.zeros(len(values), dtype=np.int64)
        for code, unit in enumerate(units.dictionary.to_pylist()):
            mine = codes == code
            try:
                factor = micro_per_unit(unit, self.mapping.medium)
            except InvalidInputError:
                refused.add(columns.unit, mine, f"is no unit of {self.mapping.medium}")
                continue
            register[mine], bad = parse_registers(values.filter(pa.array(mine)), factor, decimal)
            spread = np.zeros(len(values), dtype=np.bool_)
            spread[mine] = bad
            refused.add(columns.register_, spread, reason)
        return register

    def finish(self) -> tuple[NDArray[np.void], list[Reject]]:
        rows = np.concatenate([np.zeros(0, dtype=ROW), *self.parts])
        utc = np.concatenate([np.zeros(0, dtype=np.bool_), *self.utc_parts])
        if not len(rows):
            return rows, self.rejects
        times = localise_mixed(rows["observed_us"], utc, parse_zone(self.mapping.time.zone))
        self.rejects += [self._never(row) for row in rows[times.nonexistent]]
        rows["observed_us"] = place_rows(MeterRows(rows["meter"], times, rows["register_micro"]))
        rows["status"] |= np.where(times.ambiguous, np.int16(ReadingStatus.TIME_AMBIGUOUS), np.int16(0))
        return rows[~times.nonexistent], self.rejects

    def _never(self, row: NDArray[np.void]) -> Reject:
        zone = self.mapping.time.zone
        shown = str(np.datetime64(int(row["observed_us"]), "us").astype("datetime64[s]"))
        reason = f"never was local time in {zone}: the clocks were set forward over it"
        return Reject(int(row["line"]), self.mapping.columns.observed_at, shown, reason)


class _Refused:
    """The rows of a block that can't be used; a row is reported once, for its first fault."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.mask = np.zeros(len(block.lines), dtype=np.bool_)
        self.rejects: list[Reject] = []

    def add(self, column: str, bad: NDArray[np.bool_], reason: str) -> None:
        for row in np.flatnonzero(bad & ~self.mask):
            value = self.block.columns[column][int(row)].as_py()
            shown = "" if value is None else str(value)[:_SHOWN]
            self.rejects.append(Reject(int(self.block.lines[row]), column, shown, reason))
        self.mask |= bad
