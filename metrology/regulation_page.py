"""A regulation's data as a page of Markdown, with the confidence of every figure beside it."""

from collections.abc import Sequence

from metrology.limit_tables import influence_text
from metrology.regulation import period_in_force
from metrology.regulation_schema import RULES, Entry, Limit, PointRule, Regulation, Rule, entries
from metrology.validity import conditions_text

CONFIDENCE_TEXT = {"A": "certain", "B": "very likely", "C": "to be confirmed before it decides anything"}


def regulation_page(regulation: Regulation) -> str:
    """The page of one regulation, Markdown, ending in a newline."""
    parts = [_head(regulation), _limits(regulation), _validity(regulation), _points(regulation), _rules(regulation)]
    parts += [_not_stated(regulation), _sources(regulation)]
    return "\n\n".join(part for part in parts if part) + "\n"


def index_page(regulations: Sequence[Regulation]) -> str:
    """The list of all regulations with the number of figures of each confidence, Markdown, ending in a newline."""
    rows = [
        (f"[{r.id}]({r.id}.md)", r.designation, ", ".join(r.media), period_in_force(r), *confidence_counts(r))
        for r in regulations
    ]
    head = ("Id", "Designation", "Medium", "In force", "A", "B", "C")
    legend = "; ".join(f"{mark}: {text}" for mark, text in CONFIDENCE_TEXT.items())
    return (
        "# Regulations\n\nEvery limit that Meterproof applies is a figure of one of these data files"
        " (`metrology/regulations/`). These pages are written from them: `meterproof regulations --show ID` prints the"
        f" same.\n\nFigures by confidence. {legend}.\n\n{table(head, rows)}\n"
    )


def confidence_counts(regulation: Regulation) -> tuple[str, str, str]:
    """How many figures have confidence A, B and C."""
    marks = [entry.confidence for entry in entries(regulation)]
    return str(marks.count("A")), str(marks.count("B")), str(marks.count("C"))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _head(regulation: Regulation) -> str:
    effect = regulation.effect
    legend = "; ".join(f"{mark} {text}" for mark, text in CONFIDENCE_TEXT.items())
    facts = [
        ("Id", f"`{regulation.id}` (family `{regulation.family}`)"),
        ("Title", f"{regulation.title}{f' ({regulation.title_zh})' if regulation.title_zh else ''}"),
        ("Issuer", regulation.issuer),
        ("Medium", ", ".join(regulation.media)),
        ("In force", f"{period_in_force(regulation)} (confidence {effect.confidence}). {effect.note}".rstrip()),
        ("Scope", regulation.scope),
    ]
    warning = "\n\nFigures of confidence C stand in bold: a verdict that rests on one says so."
    has_c = confidence_counts(regulation)[2] != "0" or effect.confidence == "C"
    return f"# {regulation.designation}\n\n{table(('', ''), facts)}\n\nConfidence: {legend}." + (
        warning if has_c else ""
    )


def _limits(regulation: Regulation) -> str:
    parts = []
    for stage, title in (("initial", "at verification"), ("in_service", "in service")):
        limits = [limit for limit in regulation.limits if limit.stage == stage]
        if limits:
            parts.append(f"## Maximum permissible errors {title}\n\n{_limit_table(limits)}")
    return "\n\n".join(parts)


def _limit_table(limits: Sequence[Limit]) -> str:
    classes = list(dict.fromkeys(name for limit in limits for name in limit.mpe_pct))
    head = ["Load", "Conditions", *(f"Class {name} [%]" for name in classes), "Clause", "Confidence", "Source", "Note"]
    rows = []
    for limit in limits:
        cells = [_mpe_text(limit, name) for name in classes]
        rows.append([load_text(limit), condition_text(limit) or "any", *cells, *_citation(limit)])
    return table(head, rows)


def _mpe_text(limit: Limit, accuracy_class: str) -> str:
    value = limit.mpe_pct.get(accuracy_class)
    if value is None:
        return "-"
    falling = f" × {limit.inverse_of} / I" if limit.inverse_of else ""
    return _mark(f"±{value:g}{falling}", limit.confidence)


def load_text(limit: Limit) -> str:
    """The zone's loads, with the side on which each bound falls."""
    if limit.lower is None or limit.upper is None:
        return "whole range"
    return f"{limit.lower} ≤ load {'≤' if limit.upper_included else '<'} {limit.upper}"


def condition_text(limit: Limit) -> str:
    """The connection, power factors and temperatures of a zone, in words."""
    words = [f"{limit.connection} connection" if limit.connection else "", influence_text(limit)]
    return ", ".join(word for word in words if word)


def _validity(regulation: Regulation) -> str:
    if not regulation.validity:
        return ""
    kinds = {"verification_interval": "verify again after", "use_limit": "replace after"}
    rows = [
        (conditions_text(v), kinds[v.kind], _mark(f"{v.years} years", v.confidence), *_citation(v))
        for v in regulation.validity
    ]
    head = ("Meters", "Kind", "Period", "Clause", "Confidence", "Source", "Note")
    return f"## Validity of a verification\n\n{table(head, rows)}"


def _points(regulation: Regulation) -> str:
    if not regulation.test_points:
        return ""
    rows = [
        (
            _mark(_point_text(p), p.confidence),
            _point_condition(p),
            ", ".join(p.accuracy_classes) or "every",
            *_citation(p),
        )
        for p in regulation.test_points
    ]
    head = ("Load", "Conditions", "Classes", "Clause", "Confidence", "Source", "Note")
    return f"## Required test points\n\n{table(head, rows)}"


def _point_text(point: PointRule) -> str:
    return point.load if point.load_to is None else f"{point.load} to {point.load_to}"


def _point_condition(point: PointRule) -> str:
    words = [f"{point.connection} connection"] if point.connection else []
    if point.power_factor is not None:
        side = "" if point.power_factor == 1 else (" capacitive" if point.leading else " inductive")
        words.append(f"power factor {point.power_factor:g}{side}")
    return ", ".join([str(point.stage), *words])


def _rules(regulation: Regulation) -> str:
    parts = []
    for group in dict.fromkeys(meaning.group for meaning in RULES.values()):
        rules = [rule for rule in regulation.rules if RULES[rule.name].group == group]
        if rules:
            rows = [
                (RULES[r.name].text, _mark(_rule_text(r), r.confidence), f"`{r.name}`", *_citation(r)) for r in rules
            ]
            head = ("Requirement", "Figure", "Name", "Clause", "Confidence", "Source", "Note")
            parts.append(f"## {group}\n\n{table(head, rows)}")
    return "\n\n".join(parts)


def _rule_text(rule: Rule) -> str:
    unit = RULES[rule.name].unit
    suffix = f" {unit}" if unit not in ("", "1") else ""
    if rule.value is not None:
        return f"{rule.value:g}{suffix}"
    return ", ".join(f"class {name}: {value}{suffix}" for name, value in rule.by_class.items())


def _citation(entry: Entry) -> tuple[str, str, str, str]:
    return entry.clause, _mark(entry.confidence, entry.confidence), entry.source, entry.note


def _mark(text: str, confidence: str) -> str:
    return f"**{text}**" if confidence == "C" else text


def _not_stated(regulation: Regulation) -> str:
    lines = [f"- {n.subject.replace('_', ' ')}: {n.reason}." for n in regulation.not_stated]
    return "## Not in these data\n\n" + "\n".join(lines) if lines else ""


def _sources(regulation: Regulation) -> str:
    lines = [f"- {name}: {text}." for name, text in regulation.sources.items()]
    return "## Sources\n\n" + "\n".join(lines)
