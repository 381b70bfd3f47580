"""A zone's page, and the part of a meter's page that the balance fills: how well it is understood and why."""

from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from api.charts import COVERAGE_FACTOR
from api.console.formatting import Figure, Formatter
from api.console.interval_figure import interval_figure
from api.console.reasons import ReasonTeller, meters_named
from api.context import Context
from api.routers.zones import load_zone
from api.texts import Texts
from metrology.conformity import widest_std_pct
from store.query import Row
from store.zone_views import latest_estimate, list_zone_estimates, meter_serials

MAX_METERS = 500
_MAX_REASONS = 3
_LEAST_PART_PCT = 0.005  # rounds to nothing


def zone_values(
    context: Context, utility: str, zone: str, texts: Texts, fmt: Formatter, link: Callable[..., str]
) -> dict[str, Any]:
    """What the zone's template needs. Raises NotFoundError."""
    with context.reading() as conn:
        row, report = load_zone(conn, utility, zone)
        end = report["window_end"] if report else None
        meters = list_zone_estimates(conn, row["zone_id"], end, MAX_METERS + 1)
        serials = meter_serials(conn, meters_named(reason for one in meters for reason in one["reasons"] or []))
    teller = ReasonTeller(texts, fmt, row["medium"], row["interval_s"], (report["serials"] if report else {}) | serials)
    shown = meters[:MAX_METERS]
    return {
        "zone": row,
        "report": report,
        "is_open": report is not None and not report["reasons"],
        "gate_reasons": teller.tell(report["reasons"]) if report else [],
        "figures": report_figures(row, report, texts, fmt) if report else [],
        "remedies": _remedies(report, texts, fmt) if report else [],
        "figure": interval_figure(shown, texts, fmt, lambda one: link("meters", one["utility"], one["serial"])),
        "meters": [one | {"told": teller.tell(one["reasons"])[:_MAX_REASONS]} for one in shown],
        "meters_left_out": len(meters) > MAX_METERS,
        "max_meters": MAX_METERS,
        "coverage_factor": COVERAGE_FACTOR,
    }


def report_figures(zone: Row, report: Row, texts: Texts, fmt: Formatter) -> list[Figure]:
    """How well the zone was understood, in figures; what is not known says so."""

    def share(value: float | None) -> str:
        return texts("not_known") if value is None else fmt.percent(value)

    unmetered = texts("unmetered_none")
    if report["unmetered"] is not None:
        size = fmt.rate(report["unmetered"], zone["interval_s"], zone["medium"])
        since = report["unmetered_since"]
        known = texts("unmetered_since", size=size, day=fmt.day(since)) if since else ""
        unmetered = known or texts("unmetered_undated", size=size)
    elif report["loss_pct"] is None:
        unmetered = texts("not_known")
    decidable = texts("decidable_of", decidable=fmt.count(report["decidable"]), meters=fmt.count(report["meters"]))
    return [
        Figure(texts("decidable_meters"), decidable),
        Figure(texts("collected"), fmt.percent(report["collected_pct"])),
        Figure(texts("groups"), fmt.count(report["groups"])),
        Figure(texts(f"loss_{zone['medium']}"), share(report["loss_pct"])),
        Figure(texts("noise_share"), share(report["noise_share_pct"])),
        Figure(texts("unmetered"), unmetered),
    ]


def meter_estimate(conn: psycopg.Connection[Any], meter_id: int, texts: Texts, fmt: Formatter) -> dict[str, Any] | None:
    """What the balance last said of a meter, for its page; None where it never was assessed."""
    row = latest_estimate(conn, meter_id)
    if row is None:
        return None
    serials = meter_serials(conn, meters_named(row["reasons"] or []))
    teller = ReasonTeller(texts, fmt, row["medium"], row["interval_s"], serials)
    return {
        "row": row,
        "figures": _estimate_figures(row, texts, fmt),
        "reasons": teller.tell(row["reasons"]),
        "why_not": None if row["decidable"] else _why_not(row, texts, fmt),
        "parts": _parts(row, texts),
    }


def _estimate_figures(row: Row, texts: Texts, fmt: Formatter) -> list[Figure]:
    error, std, mpe = row["error_pct"], row["std_pct"], row["mpe_pct"]
    shown = texts("figure_no_estimate")
    if error is not None:
        expanded = texts("not_known") if std is None else fmt.percent(COVERAGE_FACTOR * std)
        shown = f"{fmt.percent(error, signed=True)} ± {expanded}"
    p = row["p_nonconforming"]
    change = row["change_at"]
    return [
        Figure(texts("estimate_interval"), shown),
        Figure(texts("col_mpe"), texts("no_limit") if mpe is None else fmt.percent(mpe, plus_minus=True)),
        Figure(texts("col_p"), texts("not_known") if p is None else fmt.probability(p)),
        Figure(texts("change_at"), texts("change_none") if change is None else fmt.day(change)),
        Figure(texts("decidability"), texts("decidable" if row["decidable"] else "not_decidable")),
    ]


def _why_not(row: Row, texts: Texts, fmt: Formatter) -> str:
    """Why no verdict can be had of a meter, whatever its error: the first of what stands against it."""
    if row["mpe_pct"] is None:
        return texts("why_no_limit")
    if row["std_pct"] is None:
        return texts("why_no_estimate")
    widest = COVERAGE_FACTOR * widest_std_pct(row["mpe_pct"])
    if COVERAGE_FACTOR * row["std_pct"] > widest:
        expanded = fmt.percent(COVERAGE_FACTOR * row["std_pct"])
        return texts("why_too_wide", expanded=expanded, widest=fmt.percent(widest), mpe=fmt.percent(row["mpe_pct"]))
    return texts("why_zone")


def _parts(row: Row, texts: Texts) -> list[dict[str, Any]]:
    """The parts of the standard uncertainty, the greatest first, each with its share of the variance [%]."""
    given = row["contributions_pct"]
    if row["std_pct"] is None or not isinstance(given, Mapping):
        return []
    parts = {name: float(value) for name, value in given.items() if isinstance(value, int | float)}
    variance = sum(value**2 for value in parts.values())
    if variance <= 0:
        return []
    shown = {name: value for name, value in parts.items() if value >= _LEAST_PART_PCT}
    return [
        {"name": texts.of("contribution", name), "std_pct": value, "share_pct": 100 * value**2 / variance}
        for name, value in sorted(shown.items(), key=lambda item: -item[1])
    ]


def _remedies(report: Row, texts: Texts, fmt: Formatter) -> list[dict[str, str | None]]:
    """What would help, the best first, each with what it is expected to bring."""
    out: list[dict[str, str | None]] = []
    for remedy in report["remedies"]:
        code, days = str(remedy["code"]), (remedy.get("data") or {}).get("days", 30)
        fall = fmt.percent(remedy["std_fall_pct"])
        newly = remedy["newly_decidable"]
        brings = texts("brings_meters", newly=fmt.count(newly), fall=fall) if newly else texts("brings_none", fall=fall)
        text = texts.of("remedy", code, days=days) if texts.has("remedy", code) else str(remedy["text"])
        out.append({"text": text, "brings": brings, "serial": remedy["serial"]})
    return out
