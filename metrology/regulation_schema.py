"""The shape of a regulation's data file, checked when it is loaded.

One TOML file holds one edition of one regulation. Every figure carries the clause it stands in, a source and a
confidence: A certain, B very likely, C to be confirmed before it decides anything.
"""

from datetime import date
from enum import StrEnum
from typing import Literal

import msgspec

from metrology.quantities import Medium

Confidence = Literal["A", "B", "C"]
Connection = Literal["direct", "transformer"]
Subject = Literal["initial limits", "in_service limits", "leading power factor", "validity", "test points"]


class Stage(StrEnum):
    """When a limit applies: at verification before use, or to a meter in use."""

    INITIAL = "initial"
    IN_SERVICE = "in_service"


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A single figure: a number, or one entry for each accuracy class. `name` is one of RULES."""

    name: str
    value: float | None = None
    by_class: dict[str, float | str] = {}
    clause: str
    confidence: Confidence
    source: str
    note: str = ""


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One zone of the table of maximum permissible errors, for every class in `mpe_pct` [%].

    `lower` (always included) and `upper` (included where `upper_included`) are multiples of a mark of the meter, such
    as "0.05 i_b"; without them the limit holds over the whole range. `inverse_of` marks the 1/I zone: the limit is
    mpe_pct * mark / load. Temperatures [degC]: above `temperature_above_degc`, from `temperature_from_degc`, to
    `temperature_to_degc` inclusive.
    """

    id: str
    stage: Stage
    mpe_pct: dict[str, float]
    lower: str | None = None
    upper: str | None = None
    upper_included: bool = False
    inverse_of: str | None = None
    power_factor: Literal["unity", "other"] | None = None
    inductive_min: float | None = None
    capacitive_min: float | None = None
    connection: Connection | None = None
    temperature_above_degc: float | None = None
    temperature_from_degc: float | None = None
    temperature_to_degc: float | None = None
    clause: str
    confidence: Confidence
    source: str
    note: str = ""


class ValidityRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long a verification holds: an interval until the next one, or a limit of use. Every condition must hold."""

    id: str
    kind: Literal["verification_interval", "use_limit"]
    years: int
    accuracy_classes: tuple[str, ...] = ()
    nominal_diameter_mm_above: float | None = None
    nominal_diameter_mm_max: float | None = None
    q3_m3ph_above: float | None = None
    q3_m3ph_max: float | None = None
    q_max_m3ph_above: float | None = None
    q_max_m3ph_max: float | None = None
    gas_families: tuple[str, ...] = ()
    clause: str
    confidence: Confidence
    source: str
    note: str = ""


class PointRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A load at which the error has to be tested: a multiple of a mark, or a range of loads up to `load_to`."""

    id: str
    stage: Stage
    load: str
    load_to: str | None = None
    accuracy_classes: tuple[str, ...] = ()
    power_factor: float | None = None
    leading: bool = False
    connection: Connection | None = None
    clause: str
    confidence: Confidence
    source: str
    note: str = ""


Entry = Limit | ValidityRule | PointRule | Rule


class NotStated(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a user may look for and the regulation, or our knowledge of it, does not hold."""

    subject: Subject
    reason: str


class Effect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When the edition is in force: from `start` (included) to `end` (not included)."""

    issued_year: int
    start: date | None = None
    end: date | None = None
    confidence: Confidence
    source: str
    note: str = ""


class Regulation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One edition of one regulation."""

    id: str
    family: str
    designation: str
    title: str
    title_zh: str = ""
    issuer: str
    media: tuple[Medium, ...]
    scope: str
    effect: Effect
    sources: dict[str, str]
    limits: tuple[Limit, ...] = ()
    validity: tuple[ValidityRule, ...] = ()
    test_points: tuple[PointRule, ...] = ()
    rules: tuple[Rule, ...] = ()
    not_stated: tuple[NotStated, ...] = ()


class RuleMeaning(msgspec.Struct, frozen=True):
    """What a rule's name means, under which heading it is shown and in which unit."""

    group: str
    unit: str
    text: str


RULES: dict[str, RuleMeaning] = {
    "collection_success_pct_min": RuleMeaning(
        "Sufficiency of data", "%", "daily share of readings collected, at least"
    ),
    "data_groups_min": RuleMeaning("Sufficiency of data", "groups", "groups of readings of the zone, at least"),
    "zone_collection_success_pct_min": RuleMeaning(
        "Refusal of a zone", "%", "readings collected in the zone, at least"
    ),
    "zone_data_groups_min": RuleMeaning("Refusal of a zone", "groups", "groups of readings of the zone, at least"),
    "zone_monthly_loss_pct_max": RuleMeaning("Refusal of a zone", "%", "monthly loss of the zone, at most"),
    "zone_monthly_loss_pct_min": RuleMeaning("Refusal of a zone", "%", "monthly loss of the zone, not below"),
    "fly_ratio_max": RuleMeaning(
        "Faults", "1", "fly: daily energy over the largest possible, I_max * U_n * 24 h, exceeds"
    ),
    "reverse_daily_energy_kwh": RuleMeaning("Faults", "kWh", "reverse: daily energy is below"),
    "stopped_current_a": RuleMeaning("Faults", "A", "stopped: daily energy is zero while the current exceeds"),
    "rounding_interval_pct": RuleMeaning("Rounding", "%", "running errors are rounded to multiples of"),
    "daily_mean_current_ratio_min": RuleMeaning(
        "Monitoring", "i_b", "daily mean current of a monitored meter, at least"
    ),
    "consecutive_days_min": RuleMeaning("Monitoring", "d", "days in a row with that current, at least"),
    "monitoring_cycle_days_max": RuleMeaning("Monitoring", "d", "cycle of monitoring, at most"),
    "data_kept_years_min": RuleMeaning("Monitoring", "a", "data are kept, at least"),
    "platform_check_years_max": RuleMeaning("Monitoring", "a", "time between checks of the platform in typical zones"),
    "reference_meter_class": RuleMeaning(
        "Reference standard", "", "accuracy class of the zone's master meter, or better"
    ),
    "reference_transformer_class": RuleMeaning(
        "Reference standard", "", "accuracy class of its instrument transformers, or better"
    ),
    "q2_over_q1": RuleMeaning("Flow rates", "1", "ratio Q2/Q1"),
    "q4_over_q3": RuleMeaning("Flow rates", "1", "ratio Q4/Q3"),
    "q_t_over_q_max": RuleMeaning("Flow rates", "1", "ratio q_t/q_max"),
}


def entries(regulation: Regulation) -> tuple[Entry, ...]:
    """Every figure of a regulation, each with its clause, confidence and source."""
    return (*regulation.limits, *regulation.validity, *regulation.test_points, *regulation.rules)
