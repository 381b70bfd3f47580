"""Meters of files judged without a database: the last outcome of each, and when its first alert was raised. Pure."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import datetime
from multiprocessing import get_context
from typing import Final

from metrology.conformity import Outcome, Reason
from store.assessments import DayOutcome
from store.file_registry import FileRegistry
from store.findings import FindingDraft
from store.registry import Meter, Zone
from store.times import to_datetime, to_micros
from verifier.accepted import StepResults
from verifier.balance.types import Comparison, MeterAssessment, SideInformation, ZoneDay
from verifier.file_comparisons import still_comparisons
from verifier.kinds import FindingKind
from verifier.offline_days import ZoneFile, day_ends, zone_days
from verifier.priors import MeterPrior
from verifier.settings import VerifierSettings
from verifier.zone_findings import error_findings
from verifier.zone_members import taking_part, zone_meters

_GOES_ON: Final = {
    FindingKind.STOPPED: "the register has not moved since {start}: the meter has stopped, or nothing is used",
    FindingKind.REVERSED_RUNNING: "the register has run backwards since {start}",
}
_NOT_JUDGED: Final = {
    "reference": Reason("is_reference", "a reference meter is what the others are held against; it is not judged"),
    "check": Reason("is_check_meter", "a check meter serves its customer's meter as a standard; it is not judged"),
}


@dataclass(frozen=True)
class MeterVerdict:
    """A meter's last outcome in its zone; `zone` is empty for a meter of none. `assessment` is None without any.

    `prior`: what was believed of a customer's meter before the data.
    """

    zone: str
    meter: Meter
    role: str
    outcome: Outcome
    reasons: tuple[Reason, ...]
    assessment: MeterAssessment | None = None
    error_pct: float | None = None
    std_pct: float | None = None
    p_nonconforming: float | None = None
    first_alert_us: int | None = None
    prior: MeterPrior | None = None


@dataclass(frozen=True)
class ZoneVerdict:
    """A zone's meters, and the day on which each customer's outcome rests (by meter_id)."""

    zone: Zone
    given: ZoneFile
    meters: tuple[MeterVerdict, ...]
    last_days: Mapping[int, ZoneDay]
    days: int

    def of_meters(self, ids: Collection[int]) -> "ZoneVerdict":
        """The same for these meters alone."""
        return replace(self, meters=tuple(one for one in self.meters if one.meter.meter_id in ids))


def zone_files(
    registry: FileRegistry,
    steps: StepResults,
    side: Mapping[int, SideInformation],
    site_tests: Sequence[Comparison],
) -> Iterator[ZoneFile]:
    """The registry's zones with their members, one after the other; `side` by zone_id."""
    for zone in registry.zones:
        children = {other.zone_id for other in registry.zones if other.parent_zone_id == zone.zone_id}
        members = zone_meters(zone, taking_part(zone, children), registry.meters)
        beside = side.get(zone.zone_id, SideInformation())
        ids = {m.installation.meter_id for m in zone.members}
        meters = tuple(meter for meter in registry.meters if meter.meter_id in ids)
        tests = tuple(test for test in site_tests if test.meter_id in ids)
        yield ZoneFile(members, meters, steps.of_meters(ids), beside, tests)


def last_zones(registry: FileRegistry) -> dict[int, int]:
    """By meter_id the zone that the meter was in last: a meter that moved is told of there alone."""
    found: dict[int, tuple[int, int]] = {}
    for zone in registry.zones:
        for member in zone.members:
            if member.zone_id == zone.zone_id:
                since = member.start_us if member.start_us is not None else -(2**62)
                i = member.installation.meter_id
                found[i] = max(found.get(i, (since, zone.zone_id)), (since, zone.zone_id))
    return {meter_id: zone_id for meter_id, (_, zone_id) in found.items()}


def judge_zones(
    zones: Sequence[ZoneFile],
    settings: VerifierSettings,
    on_zone: Callable[[int], None] | None = None,
    processes: int | None = None,
) -> list[ZoneVerdict]:
    """Every zone by itself, shared among the machine's processors; `on_zone` is told how many are done.

    `processes`: at most so many; None: as many as there are processors for this process.
    """
    workers = min(processes or processors(), len(zones))
    judged: list[ZoneVerdict] = []
    if workers <= 1:
        for number, zone in enumerate(zones, start=1):
            judged.append(judge_zone(zone, settings))
            _tell(on_zone, number)
        return judged
    # Spawned, not forked: a fork of a process with threads may hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_outcome_of, zone, settings) for zone in zones]
        for number, _ in enumerate(as_completed(futures), start=1):
            _tell(on_zone, number)
        for zone, future in zip(zones, futures, strict=True):
            judged.append(ZoneVerdict(zone.zone.zone, zone, *future.result()))
    return judged


def processors() -> int:
    """How many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def judge_zone(
    given: ZoneFile, settings: VerifierSettings, on_day: Callable[[int, int], None] | None = None
) -> ZoneVerdict:
    """Every meter of the zone itself; `on_day` is told the days done and how many there are."""
    return ZoneVerdict(given.zone.zone, given, *_outcome_of(given, settings, on_day))


def _outcome_of(
    given: ZoneFile, settings: VerifierSettings, on_day: Callable[[int, int], None] | None = None
) -> tuple[tuple[MeterVerdict, ...], dict[int, ZoneDay], int]:
    """The meters' verdicts, the days on which they rest by meter_id, and how many days there were."""
    ends = day_ends(given, settings)
    last: dict[int, tuple[MeterAssessment, ZoneDay]] = {}
    nonconforming: list[DayOutcome] = []
    for number, day in enumerate(zone_days(given, ends, settings), start=1):
        for one in day.assessments:
            last[one.meter_id] = (one, day)
            nonconforming += _nonconforming(one)
        if on_day is not None:
            on_day(number, len(ends))
    nonconforming.sort(key=lambda day: (day.meter_id, day.window_end))
    alerts = error_findings(nonconforming, settings.balance.persistence_days)
    verdicts = tuple(
        _with_prior(
            given, _verdict(given, meter, role, last.get(meter.meter_id, (None, None))[0], alerts, settings), settings
        )
        for meter, role in _own_meters(given)
    )
    return verdicts, {i: day for i, (_, day) in last.items()}, len(ends)


def _tell(on_zone: Callable[[int], None] | None, number: int) -> None:
    if on_zone is not None:
        on_zone(number)


def meters_of_no_zone(registry: FileRegistry) -> list[MeterVerdict]:
    """The meters that lie in no zone: nothing can be said of them."""
    placed = {m.installation.meter_id for zone in registry.zones for m in zone.members}
    why = (Reason("no_zone", "the meter lies in no zone; name one in the meters file"),)
    roles = {record.meter_id: record.installations[-1].role for record in registry.records if record.installations}
    return [
        MeterVerdict("", meter, roles.get(meter.meter_id, ""), Outcome.WITHHELD, why)
        for meter in registry.meters
        if meter.meter_id not in placed
    ]


def _own_meters(given: ZoneFile) -> list[tuple[Meter, str]]:
    """The zone's own meters with their last role there, those of other media included, in the order of the file."""
    zone = given.zone.zone
    roles = {m.installation.meter_id: m.installation.role for m in zone.members if m.zone_id == zone.zone_id}
    return [(meter, roles[meter.meter_id]) for meter in given.meters if meter.meter_id in roles]


def _nonconforming(one: MeterAssessment) -> list[DayOutcome]:
    if one.outcome is not Outcome.NONCONFORMING:
        return []
    figures = (one.error_pct, one.std_pct, one.mpe_pct, one.p_nonconforming)
    span = to_datetime(one.start_us), to_datetime(one.end_us)
    return [DayOutcome(one.meter_id, *span, *figures, one.reasons[0].code)]


def _verdict(
    given: ZoneFile,
    meter: Meter,
    role: str,
    one: MeterAssessment | None,
    alerts: Sequence[FindingDraft],
    settings: VerifierSettings,
) -> MeterVerdict:
    code = given.zone.zone.code
    spells = [f for f in given.steps.findings if f.meter_id == meter.meter_id and f.kind in _GOES_ON]
    told_us = [_told_us(spell) for spell in spells] + [a.ends_us for a in alerts if a.meter_id == meter.meter_id]
    first_us = min(told_us, default=None)
    if role in _NOT_JUDGED:
        return MeterVerdict(code, meter, role, Outcome.WITHHELD, (_NOT_JUDGED[role],), first_alert_us=first_us)
    ongoing = [spell for spell in spells if spell.detail.get("ongoing")]
    if ongoing:
        reasons = tuple(_reason_of(spell) for spell in ongoing)
        figures = _lost(given, meter, ongoing, settings)
        return MeterVerdict(code, meter, role, Outcome.NONCONFORMING, reasons, one, *figures, first_us)
    if one is None:
        reason = Reason("no_days", "there is no day that the meter could be assessed on")
    elif meter.meter_id not in given.steps.series:
        reason = Reason("no_readings", "the meter has no reading")
    else:
        return MeterVerdict(
            code, meter, role, one.outcome, one.reasons, one, one.error_pct, one.std_pct, one.p_nonconforming, first_us
        )
    others = () if one is None else one.reasons
    return MeterVerdict(code, meter, role, Outcome.WITHHELD, (reason, *others), one, first_alert_us=first_us)


def _with_prior(given: ZoneFile, verdict: MeterVerdict, settings: VerifierSettings) -> MeterVerdict:
    meter_id, one = verdict.meter.meter_id, verdict.assessment
    if verdict.role in _NOT_JUDGED or one is None or meter_id not in given.zone.meters:
        return verdict
    return replace(verdict, prior=given.zone.prior(meter_id, one.end_us, settings))


def _lost(
    given: ZoneFile, meter: Meter, ongoing: Sequence[FindingDraft], settings: VerifierSettings
) -> tuple[float | None, float | None, float | None]:
    """The error of a meter that stands still, its uncertainty, and the probability that it is beyond its limits.

    That it errs by -100 % is known only if a check meter in series went on meanwhile: else nothing may have been used.
    """
    stops = [spell.starts_us for spell in ongoing if spell.kind == FindingKind.STOPPED]
    if stops:
        zone, series = given.zone.zone, given.steps.series
        for found in still_comparisons(zone, given.meters, series, meter.meter_id, min(stops), settings):
            if found.comparison is not None:
                return found.comparison.error_pct, found.comparison.std_pct, 1.0
    return None, None, None


def _told_us(spell: FindingDraft) -> int:
    """When it was told: the reading that made the time long enough."""
    told = next(part["observed_at"] for part in spell.evidence if part["part"] == "told")
    return to_micros(datetime.fromisoformat(told))


def _reason_of(spell: FindingDraft) -> Reason:
    kind = FindingKind(spell.kind)
    start = f"{to_datetime(spell.starts_us):%Y-%m-%d %H:%M} UTC"
    return Reason(kind.value, _GOES_ON[kind].format(start=start), dict(spell.detail))
