"""Local time to UTC for whole columns: unambiguous, in an hour that occurs twice, or in one that doesn't exist.

A time zone's rules are turned into pieces of constant offset; a local time lies in one piece (unambiguous), in two
(clocks were set back) or in none (clocks were set forward). The zone's rules come from the IANA database (zoneinfo).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from metrology.errors import InvalidInputError

EARLIEST_US: Final = 0  # 1970-01-01
LATEST_US: Final = 7_258_118_400_000_000  # 2200-01-01: a later time is a misread one
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SCAN_STEP_S: Final = 86_400  # since 1970 no zone's clocks were changed twice within a day
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class OffsetPieces:
    """Pieces of constant offset from UTC: each from `start_us` (UTC) to the next's, at `offset_us` [µs]."""

    start_us: NDArray[np.int64]
    offset_us: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Localised:
    """UTC times of local ones [µs since 1970], shape (n,).

    `earlier_us` and `later_us` differ where the local time occurred twice. Where it never existed `nonexistent` is True
    and both hold the reading as if the clocks had not been set. `piece` numbers the (later) piece of constant offset.
    """

    earlier_us: NDArray[np.int64]
    later_us: NDArray[np.int64]
    nonexistent: NDArray[np.bool_]
    piece: NDArray[np.int64]

    @property
    def ambiguous(self) -> NDArray[np.bool_]:
        """Which local times occurred twice."""
        differ: NDArray[np.bool_] = self.earlier_us != self.later_us
        return differ


def parse_zone(name: str) -> tzinfo:
    """A zone of the IANA database (`Europe/Madrid`), `UTC`, or a fixed offset (`+08:00`).

    Raises InvalidInputError naming the remedy.
    """
    if name[:1] in ("+", "-"):
        try:
            moment = datetime.strptime(name, "%z")
        except ValueError:
            raise InvalidInputError(f"time zone {name!r} is no offset; write it as +08:00") from None
        return timezone(moment.utcoffset() or timedelta(0))
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidInputError(
            f"time zone {name!r} is unknown; use a name such as Europe/Madrid, UTC, or an offset such as +08:00"
        ) from None


def offset_pieces(zone: tzinfo, first_us: int, last_us: int) -> OffsetPieces:
    """The zone's pieces of constant offset that cover the local times from `first_us` to `last_us` [µs since 1970]."""
    margin_s = 2 * 86_400  # more than any offset from UTC, on both sides
    begin, end = first_us // _SECOND_US - margin_s, last_us // _SECOND_US + margin_s
    starts, offsets = [begin], [_offset_s(zone, begin)]
    at = begin
    while at < end:
        after = at + _SCAN_STEP_S
        if _offset_s(zone, after) != offsets[-1]:
            starts.append(_first_second_of_change(zone, at, after))
            offsets.append(_offset_s(zone, after))
        at = after
    scale = np.int64(_SECOND_US)
    return OffsetPieces(np.array(starts, dtype=np.int64) * scale, np.array(offsets, dtype=np.int64) * scale)


def _offset_s(zone: tzinfo, utc_s: int) -> int:
    offset = (_EPOCH + timedelta(seconds=utc_s)).astimezone(zone).utcoffset() or timedelta(0)
    return round(offset.total_seconds())


def _first_second_of_change(zone: tzinfo, low: int, high: int) -> int:
    before = _offset_s(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset_s(zone, middle) == before else (low, middle)
    return high


def localise(local_us: NDArray[np.int64], pieces: OffsetPieces) -> Localised:
    """UTC of local times [µs since 1970 by the local clock], shape (n,); `pieces` must cover them."""
    local_start = pieces.start_us + pieces.offset_us
    local_end = np.append(pieces.start_us[1:] + pieces.offset_us[:-1], np.iinfo(np.int64).max)
    # Starts grow with time: a piece outlasts by far the shift at its ends.
    piece = np.searchsorted(local_start, local_us, side="right") - 1
    previous = np.maximum(piece - 1, 0)
    later = local_us - pieces.offset_us[piece]
    also_before = (local_us < local_end[previous]) & (previous != piece)
    earlier = np.where(also_before, local_us - pieces.offset_us[previous], later)
    return Localised(earlier, later, local_us >= local_end[piece], piece)


def localise_mixed(time_us: NDArray[np.int64], utc: NDArray[np.bool_], zone: tzinfo) -> Localised:
    """UTC of times of which those with `utc` are UTC already and the others local to the zone, shape (n,), n > 0."""
    times = localise(time_us, offset_pieces(zone, int(time_us.min()), int(time_us.max())))
    return Localised(
        np.where(utc, time_us, times.earlier_us),
        np.where(utc, time_us, times.later_us),
        times.nonexistent & ~utc,
        times.piece,
    )


def resolvable(local_us: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which local times lie in the years that are accepted at all: 1970 to 2199."""
    within: NDArray[np.bool_] = (local_us >= EARLIEST_US) & (local_us < LATEST_US)
    return within
