"""Rows of a message that are found one by one: meters of several media and times, each row good or rejected."""

from typing import NamedTuple

from gateway.codec.rows import MessageRejected, RowReject, Rows
from gateway.reasons import Reason
from metrology.quantities import BASE_UNIT, Medium
from metrology.status import ReadingStatus


class Moment(NamedTuple):
    """When a row was observed [ms since 1970 UTC], and what is to be said about that time."""

    ms: int
    status: ReadingStatus = ReadingStatus.OK


def moment_of_receipt(received_us: int | None, status: ReadingStatus = ReadingStatus.OK) -> Moment | None:
    """The time of receipt [us since 1970 UTC] for a row without a time of its own; None where even that is unknown."""
    if received_us is None:
        return None
    return Moment(received_us // 1000, ReadingStatus.TIME_OF_RECEIPT | status)


class RowList:
    """Collects rows, at most `readings_max`. `add` and `reject` raise MessageRejected beyond."""

    def __init__(self, readings_max: int) -> None:
        self._readings_max = readings_max
        self._media: list[Medium] = []
        self._units: list[str] = []
        self._meters: list[str] = []
        self._observed_at: list[str | int] = []
        self._registers: list[float | str] = []
        self._statuses: list[int] = []
        self._rejects: list[RowReject] = []
        self.sender: str | None = None
        self.skipped = 0

    def __len__(self) -> int:
        return len(self._meters)

    def add(
        self,
        medium: Medium,
        unit: str,
        meter: str,
        moment: Moment | None,
        register: float | str,
        status: ReadingStatus = ReadingStatus.OK,
    ) -> None:
        """A good row; skipped where its time is not known at all (see Codec.decode)."""
        if moment is None:
            self.skipped += 1
            return
        self._append(medium, unit, meter, moment.ms, register, int(status | moment.status))

    def reject(self, reason: Reason, found: str, medium: Medium = Medium.ELECTRICITY, meter: str = "") -> None:
        """A row that can't be used."""
        self._rejects.append(RowReject(len(self), reason, found))
        self._append(medium, BASE_UNIT[medium], meter, 0, "0", 0)

    def rows(self) -> Rows:
        """All rows, in the order in which they came. Raises MessageRejected where every one of them was rejected."""
        n = len(self)
        if n and len(self._rejects) == n:
            found = "; ".join(reject.found for reject in self._rejects[:3]) + (f" and {n - 3} more" if n > 3 else "")
            raise MessageRejected(self._rejects[0].reason, found, n)
        return Rows(
            self._media,
            self._units,
            self._meters,
            self._observed_at,
            self._registers,
            self._statuses,
            self._rejects,
            self.sender,
            self.skipped,
        )

    def _append(
        self, medium: Medium, unit: str, meter: str, observed_at: int, register: float | str, status: int
    ) -> None:
        if len(self) >= self._readings_max:
            found = f"more than {self._readings_max} readings"
            raise MessageRejected(Reason.TOO_MANY_READINGS, found, len(self))
        self._media.append(medium)
        self._units.append(unit)
        self._meters.append(meter)
        self._observed_at.append(observed_at)
        self._registers.append(register)
        self._statuses.append(status)
