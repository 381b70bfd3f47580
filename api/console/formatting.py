"""Figures, times and durations as people read them, always with their unit."""

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from api.charts import COVERAGE_FACTOR
from api.evidence import parse_time
from api.models import base_unit
from api.texts import Texts
from metrology.quantities import format_micro

_UNITS = {"kwh": "kWh", "kw": "kW", "m3": "m³", "m3ph": "m³/h", "pct": "%", "degc": "°C", "w": "W"}
_SIGN = {"m3": "m³", "kWh": "kWh"}
_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Figure:
    """A named value with its unit, ready to show."""

    label: str
    value: str


class Formatter:
    """Shows values in one language and time zone."""

    def __init__(self, texts: Texts, zone: ZoneInfo) -> None:
        self._texts = texts
        self._zone = zone

    def time(self, moment: datetime | None) -> str:
        """Local time to the minute, to the second where it has seconds."""
        if moment is None:
            return self._texts("none")
        local = moment.astimezone(self._zone)
        return local.strftime("%Y-%m-%d %H:%M:%S" if local.second or local.microsecond else "%Y-%m-%d %H:%M")

    def day(self, day: date | datetime | None) -> str:
        """A calendar day."""
        if day is None:
            return self._texts("none")
        return (day.astimezone(self._zone).date() if isinstance(day, datetime) else day).isoformat()

    def count(self, number: float) -> str:
        """An integer with its thousands parted."""
        return f"{number:,.0f}"

    def register(self, register_micro: int | None, medium: str) -> str:
        """A register exactly, with its unit."""
        if register_micro is None:
            return self._texts("none")
        whole, point, fraction = format_micro(abs(register_micro)).partition(".")
        sign = "−" if register_micro < 0 else ""
        return f"{sign}{int(whole):,}{point}{fraction} {unit_sign(medium)}"

    def step(self, step_micro: int | None, medium: str) -> str:
        """A difference of registers with its sign and unit."""
        if step_micro is None:
            return ""
        return ("+" if step_micro > 0 else "") + self.register(step_micro, medium)

    def percent(self, value: float | None, *, signed: bool = False, plus_minus: bool = False) -> str:
        """A percentage to a hundredth."""
        if value is None:
            return self._texts("none")
        return ("±" if plus_minus else "") + (f"{value:+.2f} %" if signed else f"{value:.2f} %").replace("-", "−")

    def rate(self, quantity: float, interval_s: float, medium: str) -> str:
        """A quantity an interval [base unit] as the rate that people know: kW or m³/h."""
        unit = "kW" if base_unit(medium) == "kWh" else "m³/h"
        return f"{quantity * 3600 / interval_s:,.3g} {unit}".replace("-", "−")

    def probability(self, value: float | None) -> str:
        """A probability in percent; never rounded to certainty."""
        if value is None:
            return self._texts("none")
        if 0.9999 <= value < 1 or value == 1:
            return "> 99.99 %"
        if value < 0.0001:
            return "< 0.01 %"
        return f"{100 * value:.2f} %"

    def duration(self, seconds: float) -> str:
        """A duration in its two largest units."""
        whole = round(abs(seconds))
        minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
        if days:
            return self._texts.of("duration", "days", days=days, hours=hours % 24)
        if hours:
            return self._texts.of("duration", "hours", hours=hours, minutes=minutes % 60)
        if minutes:
            return self._texts.of("duration", "minutes", minutes=minutes, seconds=whole % 60)
        return self._texts.of("duration", "seconds", seconds=whole)

    def figures(self, detail: dict[str, object], medium: str) -> list[Figure]:
        """The figures of a finding's detail; a name's last part is its unit. Nested things are left to the record."""
        shown = []
        if "std_pct" in detail and isinstance(detail["std_pct"], int | float):
            detail = {"expanded_uncertainty_pct": COVERAGE_FACTOR * detail["std_pct"], **detail}
            del detail["std_pct"]
        order = self._texts.order("figure")
        # The database does not keep the order in which a finding's figures were written.
        for name, value in sorted(detail.items(), key=lambda item: order.get(self._stem(item[0]), len(order))):
            if value is None or isinstance(value, dict | list):
                continue
            stem, text = self._figure(name, value, medium)
            label = self._texts.of("figure", stem)
            shown.append(Figure(label[:1].upper() + label[1:], text))
        return shown

    def _figure(self, name: str, value: object, medium: str) -> tuple[str, str]:
        """The stem by which the label is found, and the text of the value."""
        stem, _, unit = name.rpartition("_")
        if isinstance(value, str) and "T" in value and (moment := parse_time(value)) is not None:
            return name, self.time(moment)
        if isinstance(value, bool):
            return name, self._texts("yes" if value else "no")
        if not isinstance(value, int | float):
            text = self._texts.of("reason", str(value)) if name == "reason" else str(value)
            return name, text[:_LONGEST_TEXT]
        if name.startswith("p_"):
            return name, self.probability(value)
        with_unit = self._with_unit(stem, unit, value, medium)
        if with_unit is not None:
            return stem, with_unit
        return name, self.count(value) if isinstance(value, int) else f"{value:,.6g}"

    def _stem(self, name: str) -> str:
        return name if self._texts.has("figure", name) else name.rpartition("_")[0]

    def _with_unit(self, stem: str, unit: str, value: float, medium: str) -> str | None:
        if unit == "micro" and isinstance(value, int):
            return self._micro(stem, value, medium)
        if unit == "s":
            return self.duration(value)
        if unit == "pct":
            return self.percent(value, signed=stem == "error", plus_minus=stem == "mpe")
        return f"{value:,.6g} {_UNITS[unit]}".replace("-", "−") if unit in _UNITS else None

    def _micro(self, stem: str, value: int, medium: str) -> str:
        return self.step(value, medium) if stem.rpartition("_")[2] in ("step", "net") else self.register(value, medium)


def unit_sign(medium: str) -> str:
    """The base unit as people write it."""
    return _SIGN[base_unit(medium)]
