"""What the interface answers with.

A register is given twice: as an exact decimal text in the base unit (kWh or m3), and as an integer in millionths of it.
Times are UTC.
"""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, computed_field

from metrology.quantities import BASE_UNIT, Medium, format_micro
from metrology.status import flag_names

Time = Annotated[datetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


class Answer(BaseModel):
    """Base of all answers; unknown columns of a row are left out."""

    model_config = ConfigDict(extra="ignore")


Item = TypeVar("Item")


class Page(Answer, Generic[Item]):
    """A part of a list; `next` is the cursor of the following part, null at the end."""

    items: list[Item]
    next: str | None = None


class Meter(Answer):
    """A meter and its present place."""

    utility: str
    serial: str
    medium: Medium
    unit: str = Field(description="The unit that its readings are sent in.")
    resolution_micro: int = Field(description="Smallest step of the register [millionths of the base unit].")
    register_modulus_micro: int | None = Field(description="Where the register rolls over [millionths].")
    accuracy_class: str
    manufacturer: str
    model: str
    lot: str
    validity_until: date | None = Field(description="Last day of the verification's validity.")
    mpe_pct: float | None = Field(description="Maximum permissible error in service, where given for this meter [%].")
    registered_at: Time
    service_point: str | None
    zone: str | None
    role: str | None


class Installation(Answer):
    """Where a meter was, [installed_at, removed_at)."""

    service_point: str
    role: str
    direction: str
    phase: str
    multiplier: str = Field(description="CT·PT, an exact decimal text.")
    installed_at: Time | None
    removed_at: Time | None
    start_register_micro: int | None
    end_register_micro: int | None


class ReadingValue(Answer):
    """A register as indicated, before the installation's multiplier, with the message that carried it."""

    register_micro: int
    status: int = Field(description="A bit set; `flags` names the bits.")
    batch_id: int
    message_no: int

    @computed_field(description="The register in the base unit, exactly.")  # type: ignore[prop-decorator]  # mypy 1362
    @property
    def register_value(self) -> str:
        return format_micro(self.register_micro)

    @computed_field  # type: ignore[prop-decorator]  # mypy issue 1362
    @property
    def flags(self) -> list[str]:
        return flag_names(self.status)


class Reading(ReadingValue):
    """One reading, with the other values that arrived for the same time."""

    observed_at: Time
    conflicting: list[ReadingValue] = Field(default_factory=list)


class ReadingPage(Page[Reading]):
    """Readings of one meter in order of time."""

    utility: str
    serial: str
    unit: str = Field(description="Base unit of the registers.")


class Bucket(Answer):
    """Readings of a stretch of time, thinned out; its extremes are kept."""

    bucket_start: Time
    readings: int
    first_at: Time
    last_at: Time
    first_micro: int
    last_micro: int
    min_at: Time
    min_micro: int
    max_at: Time
    max_micro: int


class DownsampledReadings(Answer):
    """A meter's readings in buckets of equal length; buckets without readings are left out."""

    utility: str
    serial: str
    unit: str
    start: Time
    end: Time
    bucket_s: float = Field(description="Length of a bucket [s].")
    items: list[Bucket]


class MeterDetail(Meter):
    """A meter with its history of places and its latest reading."""

    base_unit: str
    installations: list[Installation]
    latest_reading: Reading | None
    alerts_at_work: int = Field(description="Open and acknowledged alerts.")


class Zone(Answer):
    """A zone whose consumption is balanced against a reference."""

    utility: str
    zone: str
    medium: Medium
    parent: str | None
    interval_s: int
    reference_uncertainty_pct: float
    assessed_through: Time | None
    service_points: int = Field(description="Service points in it at present, those of zones within it apart.")


class ZoneRemedy(Answer):
    """Something that would make more of a zone's meters decidable, with what it is expected to bring."""

    code: str
    text: str
    newly_decidable: int = Field(description="Meters of which a verdict could be had then and can't be now.")
    std_fall_pct: float = Field(description="By how much the meters' mean standard uncertainty would fall [%].")
    serial: str | None = Field(default=None, description="The meter that it is about, if it is about one.")


class ZoneReason(Answer):
    """Why a zone's verdicts are withheld."""

    code: str
    text: str


class ZoneReport(Answer):
    """How well a zone's balance was understood at a day's end. Shares are of the zone's load [%]."""

    window_end: Time
    groups: int = Field(description="Intervals known of every meter.")
    collected_pct: float
    loss_pct: float | None
    noise_share_pct: float | None = Field(description="Noise of one interval that nothing explains.")
    unmetered: float | None = Field(description="Load that no meter shows, in the zone's unit an interval.")
    unmetered_since: Time | None
    decidable: int = Field(description="Meters of which a verdict can be had.")
    meters: int = Field(description="Meters that were assessed on that day.")
    reasons: list[ZoneReason]
    remedies: list[ZoneRemedy] = Field(description="The best first.")
    assessed_at: Time


class ZoneDetail(Zone):
    """A zone with the report of the last day that was assessed; null before the first."""

    report: ZoneReport | None


class FindingSummary(Answer):
    """What was concluded from readings, at one meter or zone."""

    finding_id: int
    kind: str
    severity: str
    utility: str
    serial: str | None
    zone: str | None
    medium: Medium
    starts_at: Time
    ends_at: Time
    detail: dict[str, Any] = Field(description="Figures by name, units last.")
    assessed_at: Time
    superseded_at: Time | None = Field(description="Since when later data have taken its place.")


class Finding(FindingSummary):
    """A finding with what it rests on."""

    evidence: Any = Field(description="The readings: observed_at, register_micro, batch_id, message_no.")
    commit_seq: int = Field(description="The batch that brought it about.")
    software_version: str
    settings_digest: str
    settings: dict[str, Any] | None = None


class AlertSummary(Answer):
    """What an inspector works on: findings of one kind at one meter or zone."""

    alert_id: int
    kind: str
    severity: str
    state: str
    utility: str
    serial: str | None
    medium: Medium
    zone: str | None
    service_point: str | None
    opened_at: Time
    starts_at: Time
    last_at: Time
    findings: int
    latest_finding_id: int


class AlertEvent(Answer):
    """A change of an alert's state."""

    at: Time
    actor: str
    action: str
    reason: str


class AlertFinding(Answer):
    """One of an alert's findings."""

    finding_id: int
    starts_at: Time
    ends_at: Time
    detail: dict[str, Any]
    evidence: Any
    assessed_at: Time
    software_version: str
    superseded_at: Time | None


class Alert(AlertSummary):
    """An alert with its findings and history."""

    meter_id: int | None = Field(exclude=True, description="For this software's own use.")

    events: list[AlertEvent]
    finding_items: list[AlertFinding] = Field(description="The latest findings, those in force first.")


class DecisionBody(BaseModel):
    """Who decides and why."""

    model_config = ConfigDict(extra="forbid")

    actor: str = Field(max_length=1000, description="The person who decides.")
    reason: str = Field(default="", max_length=10_000, description="Needed to dismiss and to confirm.")
    revise: StrictBool = Field(default=False, description="Corrects an earlier confirmation or dismissal.")


class Count(Answer):
    """A count that stops at a bound; `at_least` is true where it did."""

    count: int
    at_least: bool


class QuarantineEntry(Answer):
    """A message, or rows of it, that could not become readings."""

    model_config = ConfigDict(extra="ignore", from_attributes=True)

    quarantine_id: int
    state: Literal["open", "released", "discarded"]
    reason: str = Field(description="Code of the reason.")
    detail: str = Field(description="What was found and where, what it means, and the remedy.")
    utility: str = Field(description="As the topic claims; empty where it names none.")
    topic: str
    payload_bytes: int
    rows: list[int] | None = Field(description="Rows concerned, from 0, the first 100; null: the whole message.")
    rows_total: int | None = Field(description="How many rows are concerned; null: the whole message.")
    batch_id: int
    received_at: Time
    deliveries: int = Field(description="How often the message came.")


class QuarantineReason(Answer):
    """How many entries that match have a reason."""

    reason: str
    entries: Count


class QuarantinePage(Page[QuarantineEntry]):
    """Entries of the quarantine, the newest first, and the counts by reason of all that match."""

    reasons: list[QuarantineReason]


class ReplacementReason(Answer):
    """Why a meter is to be replaced."""

    rule: str = Field(description="`expired` or `confirmed_alert`.")
    since: date | Time
    kind: str | None = Field(default=None, description="The alert's kind.")
    actor: str | None = Field(default=None, description="Who confirmed it.")
    reason: str | None = None
    evidence: str = Field(description="Where the evidence is found.")


class Replacement(Answer):
    """An installed meter that is due for replacement."""

    utility: str
    serial: str
    medium: Medium
    accuracy_class: str
    manufacturer: str
    model: str
    lot: str
    validity_until: date | None
    service_point: str
    zone: str | None
    role: str
    installed_at: Time | None
    due_since: Time
    reasons: list[ReplacementReason]


class ReplacementPage(Page[Replacement]):
    """Meters due for replacement at the end of a day, the longest due first."""

    as_of: date
    validity_unknown: Count = Field(
        description="Installed meters without a date of validity on record: whether they are due can't be known."
    )


class FollowerLag(Answer):
    """How far a follower of the batches lags behind."""

    follower: str
    commit_seq: int
    lag_batches: int
    lag_s: float = Field(description="Age of the oldest batch it has not dealt with [s].")
    updated_at: Time


class Summary(Answer):
    """The state of the whole at one moment."""

    batches: int
    readings_stored: int
    readings_duplicate: int
    readings_conflicting: int
    readings_rejected: int
    quarantined: Count = Field(description="Open entries of the quarantine.")
    pending: Count = Field(description="Readings of meters that are not registered yet.")
    open_alerts: Count
    acknowledged_alerts: Count
    last_batch_at: Time | None
    followers: list[FollowerLag]
    software_version: str


def base_unit(medium: str) -> str:
    """The unit that registers of a medium are stored in."""
    return BASE_UNIT[Medium(medium)]
