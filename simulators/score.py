"""Alerts against the truth: what was found, what was missed, what was raised for nothing, and how long it took."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from metrology.errors import InvalidInputError
from simulators.truth import TruthItem, TruthLedger

_WITHDRAWN: Final = "withdrawn"
ZONE_KINDS: Final = frozenset({"zone_imbalance"})
# Their start may lie before the fault: a balance speaks of a window, a stand-still begins with the last movement.
_WINDOW_KINDS: Final = frozenset({"error_beyond_mpe", "stopped"})
_VERDICTS: Final = ("right", "harmless", "false")


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as the system under test tells it; a meter's or, without `meter`, a zone's."""

    kind: str
    utility: str
    meter: str | None
    zone: str | None
    starts_at: datetime
    opened_at: datetime
    state: str

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> "Alert":
        """From plain fields; times as datetime or RFC 3339. Raises InvalidInputError naming the field."""
        try:
            times = {name: _time(entry[name]) for name in ("starts_at", "opened_at")}
            return cls(
                kind=str(entry["kind"]),
                utility=str(entry["utility"]),
                meter=entry.get("meter") or None,
                zone=entry.get("zone") or None,
                state=str(entry["state"]),
                **times,
            )
        except KeyError as error:
            raise InvalidInputError(f"alert {dict(entry)!r} lacks {error.args[0]!r}") from None
        except (ValueError, TypeError) as error:
            raise InvalidInputError(f"alert {dict(entry)!r}: {error}; expected times with an offset") from None


def _time(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no offset from UTC")
    return moment


@dataclass(frozen=True, slots=True)
class KindScore:
    """One kind of fault: how many called for an alert, how many of these were found, and after how long [h]."""

    expected: int
    hits: int
    recall: float | None
    median_delay_h: float | None


@dataclass(frozen=True, slots=True)
class Miss:
    """A fault that called for an alert and got none."""

    kind: str
    meter: str
    begins_at: datetime
    error_pct: float
    mpe_pct: float


@dataclass(frozen=True, slots=True)
class Score:
    """The sum. `right` alerts tell a fault that ought to be told; `harmless` ones tell something true that needed no
    alert (a defect of the data, or the zone of a faulty meter); `false_alarms` are all others. Precision is
    right / (right + false alarms), recall hits / expected; None where nothing was to be told."""

    alerts: int
    withdrawn: int
    right: int
    harmless: int
    false_alarms: tuple[Alert, ...]
    expected: int
    hits: int
    misses: tuple[Miss, ...]
    precision: float | None
    recall: float | None
    median_delay_h: float | None
    by_fault: dict[str, KindScore]
    by_alert_kind: dict[str, dict[str, int]]

    def as_dict(self) -> dict[str, Any]:
        """The figures by name, times in RFC 3339."""
        plain = asdict(self)
        for entry in (*plain["false_alarms"], *plain["misses"]):
            entry.update({k: v.isoformat() for k, v in entry.items() if isinstance(v, datetime)})
        return plain


def score(
    alerts: Iterable[Mapping[str, Any] | Alert],
    truth: TruthLedger,
    tolerance: timedelta = timedelta(hours=2),
    detected_at: Mapping[tuple[str, str], datetime] | None = None,
) -> Score:
    """Judges alerts (fields kind, utility, meter, zone, starts_at, opened_at, state) by the ledger.

    An alert tells a fault if it names the meter and a kind that fits, and starts no earlier than `tolerance` before
    the fault and no later than that after its end. A balance speaks of a window and a stand-still begins with the
    last movement, which may lie before the fault: there the start is not asked. Withdrawn alerts and other
    utilities' don't count. The delay is counted in the data's time, from the fault's beginning to the alert's start
    or to `detected_at[(kind, meter)]`, the time of the data that brought the alert about, where the caller knows
    it; an alert brought about before the fault does not tell it.
    """
    given = [entry if isinstance(entry, Alert) else Alert.from_dict(entry) for entry in alerts]
    mine = [alert for alert in given if alert.utility == truth.utility]
    standing = [alert for alert in mine if alert.state != _WITHDRAWN]
    judge = _Judge(truth, tolerance, detected_at or {})
    verdicts = [judge.judge(alert) for alert in standing]
    kinds: dict[str, dict[str, int]] = {}
    for alert, verdict in zip(standing, verdicts, strict=True):
        kinds.setdefault(alert.kind, dict.fromkeys(_VERDICTS, 0))[verdict] += 1
    right = verdicts.count("right")
    false_alarms = tuple(a for a, verdict in zip(standing, verdicts, strict=True) if verdict == "false")
    expected = [item for item in truth.items if item.alert_expected]
    found = judge.delays
    return Score(
        alerts=len(mine),
        withdrawn=len(mine) - len(standing),
        right=right,
        harmless=verdicts.count("harmless"),
        false_alarms=false_alarms,
        expected=len(expected),
        hits=len(found),
        misses=tuple(
            Miss(item.kind, item.meter, item.begins_at, item.error_pct, item.mpe_pct)
            for item in expected
            if item not in found
        ),
        precision=_ratio(right, right + len(false_alarms)),
        recall=_ratio(len(found), len(expected)),
        median_delay_h=_median_h(list(found.values())),
        by_fault=_by_fault(expected, found),
        by_alert_kind=dict(sorted(kinds.items())),
    )


class _Judge:
    """Judges alerts one by one and remembers the shortest delay of every fault that was told."""

    def __init__(
        self, truth: TruthLedger, tolerance: timedelta, detected_at: Mapping[tuple[str, str], datetime]
    ) -> None:
        self.tolerance, self.detected_at = tolerance, detected_at
        self.by_meter: dict[str, list[TruthItem]] = defaultdict(list)
        for item in truth.items:
            self.by_meter[item.meter].append(item)
        self.faulty_zones = {item.zone for item in truth.items if item.alert_expected}
        self.delays: dict[TruthItem, timedelta] = {}

    def judge(self, alert: Alert) -> str:
        """`right`, `harmless` or `false`."""
        if alert.meter is None:
            return "harmless" if alert.kind in ZONE_KINDS and alert.zone in self.faulty_zones else "false"
        seen = self.detected_at.get((alert.kind, alert.meter))
        told = [item for item in self.by_meter.get(alert.meter, ()) if self._tells(alert, item, seen)]
        wanted = [item for item in told if item.alert_expected]
        for item in wanted:
            delay = max(timedelta(0), (seen or alert.starts_at) - item.begins_at)
            self.delays[item] = min(delay, self.delays.get(item, delay))
        return "right" if wanted else "harmless" if told else "false"

    def _tells(self, alert: Alert, item: TruthItem, seen: datetime | None) -> bool:
        if alert.kind not in item.alert_kinds or (seen is not None and seen < item.begins_at):
            return False
        begun = alert.kind in _WINDOW_KINDS or alert.starts_at >= item.begins_at - self.tolerance
        over = item.ends_at is not None and alert.starts_at > item.ends_at + self.tolerance
        return begun and not over


def _by_fault(expected: list[TruthItem], found: Mapping[TruthItem, timedelta]) -> dict[str, KindScore]:
    out = {}
    for kind in sorted({item.kind for item in expected}):
        items = [item for item in expected if item.kind == kind]
        delays = [found[item] for item in items if item in found]
        out[kind] = KindScore(len(items), len(delays), _ratio(len(delays), len(items)), _median_h(delays))
    return out


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _median_h(delays: list[timedelta]) -> float | None:
    if not delays:
        return None
    ordered = sorted(delay.total_seconds() / 3600.0 for delay in delays)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
