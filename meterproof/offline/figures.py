"""A figure a zone: every meter's estimate with its 95 % interval against its limits. Needs the extra `figures`."""

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metrology.conformity import Outcome
from metrology.errors import InvalidInputError
from store.times import to_datetime
from verifier.offline import MeterVerdict, ZoneVerdict

_Z95: Final = 1.959964  # of the normal distribution: 95 % lie within
_MOST_NAMED: Final = 60  # meters whose names stand on the axis
_MOST_LISTED: Final = 12
# Colours that remain apart for the colour-blind (Okabe and Ito), and a shape of its own for each outcome.
_STYLE: Final[Mapping[Outcome, tuple[str, str]]] = {
    Outcome.CONFORMING: ("#0072b2", "o"),
    Outcome.NONCONFORMING: ("#d55e00", "s"),
    Outcome.INCONCLUSIVE: ("#cc79a7", "D"),
    Outcome.WITHHELD: ("#7f7f7f", "^"),
}
_RC: Final[dict[Any, Any]] = {"svg.hashsalt": "meterproof", "svg.fonttype": "none", "axes.unicode_minus": True}
_CJK_FONTS: Final = ("Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "SimHei", "Microsoft YaHei")


def draw_zones(folder: Path, zones: Sequence[ZoneVerdict]) -> list[Path]:
    """Writes `<zone>.svg` and `<zone>.png` for each zone into the folder, which is made; returns the files.

    The same verdicts give the same bytes. Raises InvalidInputError where nothing can be written.
    """
    files: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken: set[str] = set()
        for zone in zones:
            name = _file_name(zone.zone.code, taken)
            files += _draw(folder / name, zone)
    except OSError as error:
        raise InvalidInputError(f"--figures {folder}: {error.strerror or error}; name a folder of yours") from None
    return files


def is_decidable(one: MeterVerdict) -> bool:
    """Whether the uncertainty is small enough for a verdict."""
    return one.assessment is not None and bool(one.assessment.decidable)


def _file_name(code: str, taken: set[str]) -> str:
    """The zone's code as a file name, told apart from those taken."""
    plain = re.sub(r"[^\w.-]", "_", code).strip(".") or "zone"
    name, number = plain, 2
    while name.lower() in taken:
        name, number = f"{plain}-{number}", number + 1
    taken.add(name.lower())
    return name


def _draw(stem: Path, zone: ZoneVerdict) -> list[Path]:
    installed = {font.name for font in font_manager.fontManager.ttflist}
    fonts = ["DejaVu Sans", *(name for name in _CJK_FONTS if name in installed)]
    with mpl.rc_context({**_RC, "font.family": fonts}), warnings.catch_warnings():
        # A serial in a script that no installed font has is drawn as boxes; the SVG keeps the text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = _figure(zone)
        svg, png = stem.with_name(stem.name + ".svg"), stem.with_name(stem.name + ".png")
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(png, format="png", metadata={"Software": None})
    return [svg, png]


def _figure(zone: ZoneVerdict) -> Figure:
    judged = [one for one in zone.meters if one.role == "customer"]
    shown = sorted(
        (one for one in judged if one.error_pct is not None), key=lambda one: (one.error_pct, one.meter.serial)
    )
    silent = [one for one in judged if one.error_pct is None]
    count = len(judged)
    figure = Figure(figsize=(min(max(7.0, 2.5 + 0.17 * count), 16.0), 5.2), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    _limits(axes, [*shown, *silent])
    _estimates(axes, shown)
    _without_estimate(axes, silent, len(shown))
    _scale(axes, shown)
    _name_meters(axes, [*shown, *silent])
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set_xlim(-0.7, max(count, 1) - 0.3)
    axes.set_ylabel("error of indication [%]")
    axes.set_title(_title(zone, judged), fontsize=10, loc="left")
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower left", ncols=4, fontsize=8, frameon=False)
    return figure


def _title(zone: ZoneVerdict, judged: Sequence[MeterVerdict]) -> str:
    ends = [one.assessment.end_us for one in judged if one.assessment]
    until = f"; up to {to_datetime(max(ends)):%Y-%m-%d %H:%M} UTC" if ends else ""
    return f"Zone {zone.zone.code} ({zone.zone.medium}){until}\nerror at the last day's end with its 95 % interval"


def _limits(axes: Axes, meters: Sequence[MeterVerdict]) -> None:
    limit = np.array([(one.assessment.mpe_pct if one.assessment else one.meter.mpe_pct) or np.nan for one in meters])
    if not np.isfinite(limit).any():
        return
    at = np.arange(len(meters) + 1) - 0.5
    for sign, label in ((1, "permissible error in service"), (-1, None)):
        axes.stairs(sign * limit, at, baseline=None, color="black", linestyle="--", linewidth=1.0, label=label)


def _estimates(axes: Axes, shown: Sequence[MeterVerdict]) -> None:
    """Filled and with a full line where a verdict could be had, hollow and dotted where not."""
    size, width = (5.5, 1.0) if len(shown) <= _MOST_NAMED else (3.0, 0.7)
    for outcome, (colour, marker) in _STYLE.items():
        for decidable in (True, False):
            places = [i for i, one in enumerate(shown) if one.outcome is outcome and is_decidable(one) is decidable]
            if not places:
                continue
            error = np.array([shown[i].error_pct for i in places])
            spread = _Z95 * np.array([shown[i].std_pct for i in places])
            lines = axes.errorbar(
                places, error, spread, fmt=marker, markersize=size, color=colour, elinewidth=width,
                markerfacecolor=colour if decidable else "white",
                label=f"{outcome.value}: {len(places)}" + ("" if decidable else " not decidable"),
            )  # fmt: skip
            if not decidable:
                lines[2][0].set_linestyle(":")


def _without_estimate(axes: Axes, silent: Sequence[MeterVerdict], first: int) -> None:
    for outcome, (colour, _) in _STYLE.items():
        places = [first + i for i, one in enumerate(silent) if one.outcome is outcome]
        if places:
            axes.plot(
                places, [0.0] * len(places), linestyle="", marker="x", color=colour, clip_on=False,
                transform=axes.get_xaxis_transform(), label=f"{outcome.value}: {len(places)} without estimate",
            )  # fmt: skip


def _scale(axes: Axes, shown: Sequence[MeterVerdict]) -> None:
    """A single large error must not make all others a line: beyond thrice the limits the scale is logarithmic."""
    limits = [one.assessment.mpe_pct for one in shown if one.assessment and one.assessment.mpe_pct]
    largest = max((abs(one.error_pct or 0.0) for one in shown), default=0.0)
    if limits and largest > 6 * max(limits):
        axes.set_yscale("symlog", linthresh=3 * max(limits), linscale=2.0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    axes.margins(y=0.08)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _name_meters(axes: Axes, meters: Sequence[MeterVerdict]) -> None:
    """A small zone's meters on the axis; of a large one, where names would overlap, the nonconforming ones below it."""
    about = f"{len(meters)} customers' meters in the order of their estimates"
    if len(meters) <= _MOST_NAMED:
        axes.set_xticks(range(len(meters)), [one.meter.serial for one in meters], rotation=90, fontsize=7)
        axes.set_xlabel(about)
        return
    bad = [one.meter.serial for one in meters if one.outcome is Outcome.NONCONFORMING]
    named = ", ".join(bad[:_MOST_LISTED]) + (f" and {len(bad) - _MOST_LISTED} more" if len(bad) > _MOST_LISTED else "")
    axes.set_xlabel(about + (f"\nnonconforming, from the left: {named}" if bad else ""))
