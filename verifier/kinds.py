"""The kinds of findings: severity, and titles for people in English and in the terms of Chinese metering.

Severities are chosen so that an inspector is not flooded. What is explained, or lies within the register's noise, is
`info`: noted with its evidence, counted, never an alert. What may have cost or given someone money and is not
explained is a `warning`. What keeps doing so is an `alarm`. A finding that further readings may still change
(`provisional` in its detail) is `info` until they have come.
"""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Severity(StrEnum):
    """How much a finding asks of an inspector."""

    INFO = "info"
    WARNING = "warning"
    ALARM = "alarm"


class FindingKind(StrEnum):
    """Every kind of finding that the verifier makes."""

    BACKWARD_STEP = "backward_step"
    REVERSED_RUNNING = "reversed_running"
    ROLLOVER = "rollover"
    RESET = "reset"
    TRANSIENT_GLITCH = "transient_glitch"
    METER_EXCHANGE = "meter_exchange"
    IMPLAUSIBLE_RATE = "implausible_rate"
    STOPPED = "stopped"
    GAP = "gap"
    DUPLICATE = "duplicate"
    CONFLICTING_VALUES = "conflicting_values"
    CLOCK_IN_FUTURE = "clock_in_future"
    ERROR_BEYOND_MPE = "error_beyond_mpe"
    ZONE_IMBALANCE = "zone_imbalance"
    LOW_FLOW_LOST = "low_flow_lost"
    CONTINUOUS_FLOW = "continuous_flow"
    LIGHT_LOAD = "light_load"
    CREEP = "creep"


@dataclass(frozen=True, slots=True)
class KindInfo:
    """Titles, the usual severity, and the one it rises to when `raised_when` holds."""

    title_en: str
    title_zh: str
    severity: Severity
    raised_to: Severity | None = None
    raised_when: str = ""


_LARGE = "the step exceeds the medium's large step"

KINDS: Final = MappingProxyType(
    {
        FindingKind.BACKWARD_STEP: KindInfo(
            "Register went backwards", "示数倒走", Severity.INFO, Severity.WARNING, _LARGE
        ),
        FindingKind.REVERSED_RUNNING: KindInfo(
            "Register keeps running backwards", "计量装置持续反向走字", Severity.ALARM
        ),
        FindingKind.ROLLOVER: KindInfo("Register rolled over", "示数翻转（满度归零）", Severity.INFO),
        FindingKind.RESET: KindInfo("Register was reset", "示数清零", Severity.INFO, Severity.WARNING, _LARGE),
        FindingKind.TRANSIENT_GLITCH: KindInfo(
            "Readings left the level and returned", "示数瞬时跳变", Severity.INFO, Severity.WARNING, _LARGE
        ),
        FindingKind.METER_EXCHANGE: KindInfo(
            "Meter exchanged or moved",
            "换表（拆装表）",
            Severity.INFO,
            Severity.WARNING,
            "the registered start or end register contradicts the readings",
        ),
        FindingKind.IMPLAUSIBLE_RATE: KindInfo("Implausibly fast register", "示数飞走", Severity.WARNING),
        FindingKind.STOPPED: KindInfo("Meter stopped", "表计停走", Severity.WARNING),
        FindingKind.GAP: KindInfo("Readings are missing", "采集缺失", Severity.INFO),
        FindingKind.DUPLICATE: KindInfo("Readings were sent again", "重复上报", Severity.INFO),
        FindingKind.CONFLICTING_VALUES: KindInfo(
            "Several values for one time",
            "同一时刻示数不一致",
            Severity.INFO,
            Severity.WARNING,
            "the values differ by more than the medium's large step",
        ),
        FindingKind.CLOCK_IN_FUTURE: KindInfo("Meter clock runs ahead", "表计时钟超前", Severity.WARNING),
        FindingKind.ERROR_BEYOND_MPE: KindInfo("Error beyond its permissible limit", "计量误差超差", Severity.ALARM),
        FindingKind.ZONE_IMBALANCE: KindInfo("Zone does not balance", "分区（台区）计量不平衡", Severity.WARNING),
        FindingKind.LOW_FLOW_LOST: KindInfo(
            "Small loads no longer registered",
            "小流量（轻载）疑似不计量",
            Severity.INFO,
            Severity.WARNING,
            "they had stopped at times: what never stops may have been a leak since repaired",
        ),
        FindingKind.CONTINUOUS_FLOW: KindInfo(
            "Water never stops flowing", "昼夜持续用水（疑似表后漏水）", Severity.INFO
        ),
        FindingKind.LIGHT_LOAD: KindInfo("Much runs at light load", "轻载（小流量）用量占比高", Severity.INFO),
        FindingKind.CREEP: KindInfo("Constant small registration", "恒定微小走字（疑似潜动）", Severity.INFO),
    }
)

# Kinds that rest on a meter's readings and are worked out anew whenever these change.
STEP_KINDS: Final = (
    FindingKind.BACKWARD_STEP,
    FindingKind.REVERSED_RUNNING,
    FindingKind.ROLLOVER,
    FindingKind.RESET,
    FindingKind.TRANSIENT_GLITCH,
    FindingKind.METER_EXCHANGE,
    FindingKind.IMPLAUSIBLE_RATE,
    FindingKind.STOPPED,
    FindingKind.GAP,
    FindingKind.CONFLICTING_VALUES,
)
# Kinds that rest on a meter's weeks.
LIGHT_LOAD_KINDS: Final = (
    FindingKind.LOW_FLOW_LOST,
    FindingKind.CONTINUOUS_FLOW,
    FindingKind.LIGHT_LOAD,
    FindingKind.CREEP,
)
# Of STEP_KINDS, the ones that go on: they start before the anchor and may end after it.
ONGOING_KINDS: Final = (FindingKind.REVERSED_RUNNING, FindingKind.STOPPED)


def severity_of(kind: FindingKind, raised: bool = False) -> Severity:
    """The severity of a finding; `raised` says whether the kind's `raised_when` holds."""
    info = KINDS[kind]
    return info.raised_to if raised and info.raised_to is not None else info.severity
