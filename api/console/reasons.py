"""Reasons of the balance in the reader's words, with their figures and units."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

from api.charts import COVERAGE_FACTOR
from api.console.formatting import Formatter
from api.routers.zones import meter_of
from api.texts import Texts

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXPIRED = "reference expired: "
_SPAN_OF_CALENDAR_S = 4e9  # the calendar's end lies far behind


@dataclass(frozen=True)
class Told:
    """One reason: its title, and what shows it; `text` is empty where nothing more is known."""

    title: str
    text: str


@dataclass(frozen=True)
class ReasonTeller:
    """Tells reasons {code, text, data} of one medium; `serials` of meters that they name, by meter_id."""

    texts: Texts
    fmt: Formatter
    medium: str
    interval_s: int
    serials: Mapping[int, str] = field(default_factory=dict)

    def tell(self, reasons: object) -> list[Told]:
        """Every reason that is one, in its order."""
        known = reasons if isinstance(reasons, list) else []
        return [self._told(reason) for reason in known if isinstance(reason, dict)]

    def _told(self, reason: Mapping[str, Any]) -> Told:
        code, data = str(reason.get("code", "")), reason.get("data")
        title = self.texts.of("reason", code)
        values = self._values(data if isinstance(data, dict) else {}, reason)
        key = f"{code}.{values['rule']}" if "rule" in values else code
        if self.texts.has("reason_detail", key):
            try:
                return Told(title, self.texts.of("reason_detail", key, **values))
            except KeyError:  # an older record does not hold every figure
                pass
        return Told(title, str(reason.get("text", "")) if self.texts.language == "en" else "")

    def _values(self, data: Mapping[str, Any], reason: Mapping[str, Any]) -> dict[str, str]:
        """The figures as texts; what is not there, or no number, is left out."""
        number = {name: float(value) for name, value in data.items() if _is_number(value)}
        out = {name: f"{value:.3g}".replace("-", "−") for name, value in number.items()}
        for name, value in number.items():
            if name.endswith("_pct"):
                out[name] = self.fmt.percent(value, signed=name in ("error_pct", "change_pct"))
            elif name.endswith("_us") and abs(value) < _SPAN_OF_CALENDAR_S * 1e6:
                out[name] = self.fmt.time(_EPOCH + timedelta(microseconds=value))
            elif name in ("information", "needed", "missing_share", "last_day_share", "true_over_indicated"):
                out[name] = self.fmt.percent(100 * value)
        if "std_pct" in number:
            out["expanded_pct"] = self.fmt.percent(COVERAGE_FACTOR * number["std_pct"])
        if "silent_h" in number:
            out["silent_h"] = self.fmt.duration(3600 * number["silent_h"])
        for name in ("size", "unmetered"):
            if name in number:
                out[name] = self.fmt.rate(number[name], self.interval_s, self.medium)
        if "noise" in number and number.get("customer", 0) > 0:
            out["times"] = f"{number['noise'] / number['customer']:.2g}"
        out |= self._rule(data, number) | self._meter(data, reason)
        return out

    def _rule(self, data: Mapping[str, Any], number: Mapping[str, float]) -> dict[str, str]:
        rule = data.get("rule")
        if not isinstance(rule, str):
            return {}
        rule = rule.removeprefix("zone_")
        shares = "_pct_" in rule
        show = self.fmt.percent if shares else self.fmt.count
        return {"rule": rule} | {name: show(number[name]) for name in ("limit", "found") if name in number}

    def _meter(self, data: Mapping[str, Any], reason: Mapping[str, Any]) -> dict[str, str]:
        out = {}
        serial = self.serials.get(meter_of(reason) or 0)
        if serial is not None:
            out["meter"] = serial
        findings = data.get("findings")
        if isinstance(findings, list):
            out["findings"] = self.texts("list_comma").join(self._finding(str(kind)) for kind in findings)
        return out

    def _finding(self, kind: str) -> str:
        if kind.startswith(_EXPIRED):
            return self.texts("reference_expired", certificate=kind.removeprefix(_EXPIRED))
        return self.texts.of("kind", kind)


def meters_named(reasons: Iterable[object]) -> set[int]:
    """The meters that reasons are about."""
    found = {meter_of(reason) for reason in reasons if isinstance(reason, dict)}
    return {meter_id for meter_id in found if meter_id is not None}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
