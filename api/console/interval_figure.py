"""The figure of a zone's estimates: every meter's error with its interval against its limits, a row a meter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any

from api.charts import COVERAGE_FACTOR
from api.console.formatting import Formatter
from api.texts import Texts
from store.query import Row

ROW_PX = 24
_HEAD_PX = 26
_LABEL_LENGTH = 11
_REACH_MPES = 3.0  # an estimate or interval further out is cut off there, or it would flatten the others
_TICKS = 6


@dataclass(frozen=True)
class FigureRow:
    """A meter's row; positions are shares of the plot's width [%], None where there is nothing to draw."""

    y: int
    label: str
    address: str
    told: str
    outcome: str
    decidable: bool
    at: float | None
    low: float | None
    high: float | None
    limit_low: float | None
    limit_high: float | None
    cut_low: bool
    cut_high: bool


@dataclass(frozen=True)
class IntervalFigure:
    """Rows with the ticks of the axis as (position [%], text), and the height of the whole [px]."""

    rows: list[FigureRow]
    ticks: list[tuple[float, str]]
    zero: float
    height_px: int
    head_px: int = _HEAD_PX
    row_px: int = ROW_PX


def interval_figure(
    rows: Sequence[Row], texts: Texts, fmt: Formatter, address: Callable[[Row], str]
) -> IntervalFigure | None:
    """The figure of these assessments in their order; None where no meter has an estimate."""
    reach = _reach(rows)
    if reach is None:
        return None

    def place(value_pct: float) -> float:
        return round(50 + 50 * min(max(value_pct / reach, -1.0), 1.0), 2)

    drawn = []
    for i, row in enumerate(rows):
        error, std, mpe = row["error_pct"], row["std_pct"], row["mpe_pct"]
        half = None if error is None or std is None else COVERAGE_FACTOR * std
        drawn.append(
            FigureRow(
                y=_HEAD_PX + i * ROW_PX,
                label=_label(row["serial"]),
                address=address(row),
                told=told(row, texts, fmt),
                outcome=row["outcome"],
                decidable=bool(row["decidable"]),
                at=None if error is None else place(error),
                low=None if half is None else place(error - half),
                high=None if half is None else place(error + half),
                limit_low=None if mpe is None else place(-mpe),
                limit_high=None if mpe is None else place(mpe),
                cut_low=half is not None and error - half < -reach,
                cut_high=half is not None and error + half > reach,
            )
        )
    ticks = [(place(value), _tick(value)) for value in _ticks(reach)]
    return IntervalFigure(drawn, ticks, place(0.0), _HEAD_PX + len(rows) * ROW_PX + 4)


def told(row: Row, texts: Texts, fmt: Formatter) -> str:
    """An assessment in one line: for those who hear the figure, and on its row."""
    parts = [str(row["serial"])]
    if row["error_pct"] is None:
        parts.append(texts("figure_no_estimate"))
    else:
        error = fmt.percent(row["error_pct"], signed=True)
        expanded = None if row["std_pct"] is None else COVERAGE_FACTOR * row["std_pct"]
        parts.append(texts("figure_estimate", error=error, expanded=fmt.percent(expanded)))
    mpe = row["mpe_pct"]
    parts.append(texts("no_limit") if mpe is None else texts("figure_limit", mpe=fmt.percent(mpe, plus_minus=True)))
    parts.append(texts.of("outcome", row["outcome"]))
    parts.append(texts("decidable" if row["decidable"] else "not_decidable"))
    return texts("list_comma").join(parts)


def _reach(rows: Sequence[Row]) -> float | None:
    """How far the axis goes to either side [%]: to the widest interval, at most some times the widest limit."""
    estimates = [row for row in rows if row["error_pct"] is not None]
    if not estimates:
        return None
    widest = max(float(abs(row["error_pct"]) + COVERAGE_FACTOR * (row["std_pct"] or 0.0)) for row in estimates)
    mpe = max((float(row["mpe_pct"]) for row in rows if row["mpe_pct"] is not None), default=None)
    reach = widest if mpe is None else min(max(widest, mpe), _REACH_MPES * mpe)
    return max(reach, 0.1) * 1.08


def _ticks(reach: float) -> list[float]:
    """Round values from −reach to reach, 0 among them: steps of 1, 2 or 5 times a power of ten."""
    raw = 2 * reach / _TICKS
    power = 10.0 ** floor(log10(raw))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= raw * 0.999)
    count = floor(reach / step)
    return [i * step for i in range(-max(count, 0), max(count, 0) + 1)] if count else [-ceil(reach), 0.0, ceil(reach)]


def _tick(value: float) -> str:
    return (f"{value:+g}" if value else "0").replace("-", "−") + " %"


def _label(serial: Any) -> str:
    """A serial's end, by which long ones differ."""
    text = str(serial)
    return text if len(text) <= _LABEL_LENGTH else "…" + text[-(_LABEL_LENGTH - 1) :]
