"""A budget as a table for people: plain text and Markdown, with the sources of every component."""

import math
from typing import Final

from metrology.uncertainty import COVERAGE_95, Budget, Component

_HEADINGS: Final = (
    "Component", "Value", "Unit", "Std. uncertainty", "Distribution", "Deg. of freedom", "Sensitivity",
    "Contribution", "Share", "Source",
)  # fmt: skip
_NUMERIC: Final = {"Value", "Std. uncertainty", "Deg. of freedom", "Sensitivity", "Contribution", "Share"}


def budget_as_text(budget: Budget, probability: float = COVERAGE_95) -> str:
    """The budget as aligned plain text, its result below; lines end without blanks."""
    rows = [_HEADINGS, *_rows(budget)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    lines = [f"{budget.measurand} [{budget.unit}]"]
    for number, row in enumerate(rows):
        cells = [
            cell.rjust(width) if name in _NUMERIC else cell.ljust(width)
            for cell, width, name in zip(row, widths, _HEADINGS, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
        if number == 0:
            lines.append("  ".join("-" * width for width in widths))
    return "\n".join([*lines, "", *_result(budget, probability)]) + "\n"


def budget_as_markdown(budget: Budget, probability: float = COVERAGE_95) -> str:
    """The budget as a Markdown table with its result as a list; cells are escaped."""
    rule = ["---:" if name in _NUMERIC else "---" for name in _HEADINGS]
    rows = [_HEADINGS, rule, *_rows(budget)]
    table = ["| " + " | ".join(_escape(cell) for cell in row) + " |" for row in rows]
    result = [f"- {_escape(line)}" for line in _result(budget, probability)]
    return "\n".join([f"**{_escape(budget.measurand)}** [{_escape(budget.unit)}]", "", *table, "", *result]) + "\n"


def _rows(budget: Budget) -> list[tuple[str, ...]]:
    return [
        (
            line.name,
            f"{line.value:.7g}",
            line.unit,
            f"{line.std_uncertainty:.3g}",
            str(line.distribution),
            _freedom(line.degrees_of_freedom),
            f"{line.sensitivity:.4g}",
            f"{line.contribution:.3g}",
            _share(budget, line),
            line.source,
        )
        for line in budget.components
    ]


def _share(budget: Budget, line: Component) -> str:
    return f"{100 * budget.share(line.name):.1f} %"


def _freedom(dof: float) -> str:
    return "∞" if math.isinf(dof) else f"{dof:.4g}"


def _result(budget: Budget, probability: float) -> list[str]:
    u, unit = budget.combined_std_uncertainty, f" {budget.unit}".rstrip()
    k, expanded = budget.coverage_factor(probability), budget.expanded_uncertainty(probability)
    pairs = [f"correlation {p.first} / {p.second}: {p.coefficient:g}" for p in budget.correlations]
    value_text, expanded_text = _to_uncertainty(budget.value, expanded)
    return [
        *pairs,
        f"combined standard uncertainty u = {u:.3g}{unit}",
        f"effective degrees of freedom = {_freedom(budget.effective_degrees_of_freedom)}",
        f"expanded uncertainty U = {expanded_text}{unit} (k = {k:.3g}, coverage probability {100 * probability:g} %)",
        f"result: {budget.measurand} = ({value_text} ± {expanded_text}){unit}",
    ]


def _to_uncertainty(value: float, expanded: float) -> tuple[str, str]:
    """Value and expanded uncertainty, both to the second significant digit of the latter (GUM 7.2.6)."""
    if not expanded > 0:
        return f"{value:.9g}", "0"
    # From the rounded text: 0.0996 to two digits is 0.10, whose second digit stands one place higher.
    decimals = 1 - math.floor(math.log10(float(f"{expanded:.1e}")))
    places = max(decimals, 0)
    return f"{round(value, decimals):.{places}f}", f"{round(expanded, decimals):.{places}f}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
