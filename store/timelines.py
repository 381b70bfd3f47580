"""Who was where when: installations of meters at places, and service points in zones. Pure: no database.

A place is a service point with medium, role, direction and phase; it holds one meter at a time: a dwelling's water, gas
and electricity meters don't exchange each other. A service point lies in one zone of each medium. Intervals are
half-open, None is without bound. Changes are made to the objects, which remember what they were: `touched` tells which
to write.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from metrology.errors import InvalidInputError
from store.meter_rows import Placement

_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


class TimelineError(InvalidInputError):
    """A placement contradicts what is known; `column` is the one to look at."""

    def __init__(self, column: str, message: str) -> None:
        self.column = column
        super().__init__(message)


class Place(NamedTuple):
    """A service point's code with medium, role, direction and phase."""

    service_point: str
    medium: str
    role: str
    direction: str
    phase: str

    def __str__(self) -> str:
        return f"service point {self.service_point} ({self.medium}, {self.role}, {self.direction}, phase {self.phase})"


@dataclass(slots=True, eq=False, kw_only=True)
class _Tracked:
    """Something during [start, end) that remembers its fields' former values; `row_id` is None if it is new."""

    row_id: int | None
    start: datetime | None
    end: datetime | None
    before: dict[str, Any] = field(default_factory=dict)

    def set(self, **values: Any) -> None:
        """Changes fields."""
        for name, value in values.items():
            old = getattr(self, name)
            if old != value:
                setattr(self, name, value)
                if self.row_id is not None:
                    self.before.setdefault(name, old)

    @property
    def touched(self) -> bool:
        """New or changed."""
        return self.row_id is None or any(getattr(self, name) != old for name, old in self.before.items())


@dataclass(slots=True, eq=False, kw_only=True)
class Stay(_Tracked):
    """A meter at a place."""

    serial: str
    place: Place
    multiplier: Decimal = Decimal(1)
    start_register_micro: int | None = None
    end_register_micro: int | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Membership(_Tracked):
    """A service point in a zone of a medium."""

    service_point: str
    medium: str
    zone: str


def _start(interval: _Tracked) -> datetime:
    return interval.start or _FIRST


def _end(interval: _Tracked) -> datetime:
    return interval.end or _LAST


def _overlap(one: _Tracked, other: _Tracked) -> bool:
    return one is not other and _start(one) < _end(other) and _start(other) < _end(one)


@dataclass(slots=True)
class Installations:
    """All stays of one utility, found by place and by meter."""

    by_place: dict[Place, list[Stay]] = field(default_factory=lambda: defaultdict(list))
    by_meter: dict[str, list[Stay]] = field(default_factory=lambda: defaultdict(list))
    _placed: set[int] = field(default_factory=set)  # ids of the stays that this import has placed

    def add(self, stay: Stay) -> None:
        """Takes in a stay that is known or was just made."""
        self.by_place[stay.place].append(stay)
        self.by_meter[stay.serial].append(stay)

    def place_meter(self, serial: str, placement: Placement) -> Stay:
        """Makes the stays say what the placement says; returns the meter's stay.

        - The same meter, place and start: its multiplier and registers are taken over.
        - The same meter at the place it is at now, with another start: the start is corrected.
        - Otherwise the meter is newly installed there: a meter exchange closes the stay of the meter that was there, a
          move closes the meter's own stay elsewhere.

        Raises TimelineError if the place or the meter is taken at that time.
        """
        place = Place(placement.service_point, placement.medium, placement.role, placement.direction, placement.phase)
        stay, neighbours = self._stay_meant(serial, place, placement.start), list[Stay]()
        if stay is None:
            stay = self._install(serial, place, placement.start)
        elif placement.start is not None and placement.start != stay.start:
            if id(stay) in self._placed:
                raise TimelineError("installed_on", f"one date for one stay: {_where(stay, serial)} by this file")
            neighbours = self._move_start(stay, placement.start)
        self._placed.add(id(stay))
        for changed in (stay, *neighbours):
            self._refuse_overlap(changed)
        stay.set(multiplier=placement.multiplier)
        if placement.start_register_micro is not None:
            stay.set(start_register_micro=placement.start_register_micro)
        if placement.previous_end_register_micro is not None:
            self._close_register(stay, placement.previous_end_register_micro)
        return stay

    def _stay_meant(self, serial: str, place: Place, start: datetime | None) -> Stay | None:
        here = [stay for stay in self.by_meter[serial] if stay.place == place]
        exact = next((stay for stay in here if stay.start == start), None)
        if exact is None and start is None and here:
            return here[-1]  # no date was given, and where it is, is known
        return exact or next((stay for stay in here if stay.end is None), None)

    def _install(self, serial: str, place: Place, start: datetime | None) -> Stay:
        others = [*self.by_place[place], *self.by_meter[serial]]
        if start is None and others:
            raise TimelineError("installed_on", f"the date of installation: {_where(others[-1], serial)}")
        # A stay that is learned late ends where the next one at the place begins.
        later = [s.start for s in self.by_place[place] if s.start is not None and start is not None and s.start > start]
        stay = Stay(row_id=None, serial=serial, place=place, start=start, end=min(later, default=None))
        for other in others:
            if other.end is None and _start(other) < _start(stay):
                other.set(end=start)
        self.add(stay)
        return stay

    def _move_start(self, stay: Stay, start: datetime) -> list[Stay]:
        """Corrects the start, and the end of the stays that ended there; returns these."""
        if start >= _end(stay):
            raise TimelineError("installed_on", f"a date before {_iso(stay.end)}, when the meter was removed")
        around = [*self.by_place[stay.place], *self.by_meter[stay.serial]]
        neighbours = [
            other for other in around if other is not stay and other.end is not None and other.end == stay.start
        ]
        for other in neighbours:
            if _start(other) >= start:
                raise TimelineError("installed_on", f"a date after {_iso(other.start)}: {_where(other, stay.serial)}")
            other.set(end=start)
        stay.set(start=start)
        return neighbours

    def _close_register(self, stay: Stay, register_micro: int) -> None:
        before = self.before(stay)
        if before is None:
            raise TimelineError("previous_end_register", "nothing: no meter was at this place before")
        before.set(end_register_micro=register_micro)

    def before(self, stay: Stay) -> Stay | None:
        """The stay at the same place that ended where this one begins."""
        return next((s for s in self.by_place[stay.place] if s.end is not None and s.end == stay.start), None)

    def _refuse_overlap(self, stay: Stay) -> None:
        around = [*self.by_place[stay.place], *self.by_meter[stay.serial]]
        other = next((other for other in around if _overlap(stay, other)), None)
        if other is not None:
            raise TimelineError("installed_on", f"another date: {_where(other, stay.serial)}")

    def touched(self) -> list[Stay]:
        """The stays that are new or were changed."""
        return [stay for stays in self.by_place.values() for stay in stays if stay.touched]


def _where(stay: Stay, serial: str) -> str:
    who = "it" if stay.serial == serial else f"meter {stay.serial}"
    until = f" until {_iso(stay.end)}" if stay.end else ""
    return f"{who} is at {stay.place} from {_iso(stay.start)}{until}"


def _iso(time: datetime | None) -> str:
    return "an unknown date" if time is None else f"{time:%Y-%m-%dT%H:%M:%SZ}"


@dataclass(slots=True)
class Memberships:
    """In which zone of each medium the service points of a utility lie."""

    by_point: dict[tuple[str, str], list[Membership]] = field(default_factory=lambda: defaultdict(list))

    def add(self, membership: Membership) -> None:
        """Takes in a membership that is known or was just made."""
        self.by_point[membership.service_point, membership.medium].append(membership)

    def place(self, point: tuple[str, str], zone: str, since: datetime | None) -> None:
        """Puts (service point, medium) into the zone from `since` on (None: as far as is known, always).

        Raises TimelineError where it lies in another zone and no date says when that changed.
        """
        known = self.by_point[point]
        if any(m.zone == zone and (since is None or m.start == since) for m in known):
            return
        current = next((m for m in known if m.end is None), None)
        if current is None:
            self._begin(point, zone, since)
            return
        if since is None:
            raise TimelineError(
                "zone_since",
                f"a date: service point {point[0]} lies in zone {current.zone}; say since when it changed",
            )
        before = next((m for m in known if m.end is not None and m.end == current.start), None)
        corrected = before if current.zone == zone else current
        if corrected is not None and _start(corrected) >= since:
            raise TimelineError(
                "zone_since", f"a date after {_iso(corrected.start)}, since when it lies in zone {corrected.zone}"
            )
        if corrected is not None:
            corrected.set(end=since)
        if current.zone == zone:
            current.set(start=since)
        else:
            self._begin(point, zone, since)

    def _begin(self, point: tuple[str, str], zone: str, since: datetime | None) -> None:
        self.add(Membership(row_id=None, service_point=point[0], medium=point[1], zone=zone, start=since, end=None))

    def touched(self) -> list[Membership]:
        """The memberships that are new or were changed."""
        return [m for known in self.by_point.values() for m in known if m.touched]
