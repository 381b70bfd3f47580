"""A problem in the reader's language: what is most often wrong is told in it, the rest stays as programs get it."""

import re
from urllib.parse import unquote

from api.errors import FieldProblem, Problem
from api.texts import Texts

_ALERT = re.compile(r"/alerts/(\d+)")
_METER = re.compile(r"/meters/([^/]+)/(.+)")
_ZONE = re.compile(r"/zones/([^/]+)/(.+)")
_CHOICES = re.compile(r"'([\w-]+)'")
_LISTED = re.compile(r"; use one of (.+)$")


def problem_lines(problem: Problem, texts: Texts) -> list[str]:
    """What is wrong and where; in English, the problem's own words, which name the remedy as well."""
    if texts.language == "en":
        return [problem.detail]
    if problem.status == 404:
        return [_missing(unquote(problem.instance), texts)]
    if problem.status == 422 and problem.errors:
        return [_refused(error, texts) for error in problem.errors]
    if problem.status in (403, 405, 421, 503):
        return []  # the page's general text says it all
    return [problem.detail]


def _missing(path: str, texts: Texts) -> str:
    if alert := _ALERT.fullmatch(path):
        return texts("missing_alert", id=alert[1])
    if meter := _METER.fullmatch(path):
        return texts("missing_meter", utility=meter[1], serial=meter[2])
    if zone := _ZONE.fullmatch(path):
        return texts("missing_zone", utility=zone[1], zone=zone[2])
    return texts("missing_address", path=path)


def _refused(error: FieldProblem, texts: Texts) -> str:
    name = error.parameter.rpartition(".")[2]
    listed = _LISTED.search(error.message)
    choices = listed[1].split(", ") if listed else _CHOICES.findall(error.message)
    if choices:
        return texts("refused_choice", name=name, value=error.value, choices="、".join(choices))
    return texts("refused_value", name=name, value=error.value)
