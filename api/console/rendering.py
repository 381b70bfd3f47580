"""Makes pages of templates: language, times and links of one request."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.console.formatting import Formatter
from api.console.problem_page import problem_lines
from api.context import Context
from api.errors import Problem
from api.texts import HTML_LANGUAGE, Texts, choose_language

TEMPLATES: Final = Path(__file__).parents[1] / "templates"


def make_environment() -> Environment:
    """Jinja2 that escapes everything and fails on a misspelt name."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class Renderer:
    """Renders the console's pages."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._environment = make_environment()

    def texts(self, request: Request) -> Texts:
        """The texts in the request's language."""
        accepted = request.headers.get("accept-language", "")
        default = self._context.settings.language
        return Texts(choose_language(request.query_params.get("lang"), accepted, default))

    def formatter(self, request: Request) -> Formatter:
        """Shows values as the request's reader expects."""
        return Formatter(self.texts(request), self._context.settings.zone)

    def page(self, request: Request, template: str, values: Mapping[str, Any], status_code: int = 200) -> HTMLResponse:
        """One page; `values` are the template's own names."""
        texts = self.texts(request)
        links = Links(request)
        html = self._environment.get_template(template).render(
            t=texts,
            fmt=Formatter(texts, self._context.settings.zone),
            link=links,
            html_language=HTML_LANGUAGE[texts.language],
            other_language=links.other_language("en" if texts.language == "zh" else "zh"),
            time_zone=self._context.settings.time_zone,
            software_version=self._context.software_version,
            path=request.url.path,
            **values,
        )
        headers = {"Vary": "Accept-Language", "Content-Language": HTML_LANGUAGE[texts.language]}
        return HTMLResponse(html, status_code=status_code, headers=headers)

    def problem_page(self, request: Request, problem: Problem) -> Response:
        """A problem as a page."""
        values = {"problem": problem, "lines": problem_lines(problem, self.texts(request))}
        return self.page(request, "problem.html", values, problem.status)


class Links:
    """Addresses of the console's pages that keep a language which the reader chose."""

    def __init__(self, request: Request) -> None:
        self._request = request
        lang = request.query_params.get("lang")
        self._kept = {"lang": lang} if lang in HTML_LANGUAGE else {}

    def __call__(self, *segments: object, **query: object) -> str:
        """The address of a path's segments with a query; parameters that are None or empty are left out."""
        path = "/" + "/".join(quote(str(segment), safe="") for segment in segments)
        pairs = [(name, value) for name, value in query.items() if value not in (None, "", [])]
        text = urlencode([*pairs, *self._kept.items()], doseq=True)
        return f"{path}?{text}" if text else path

    def other_language(self, language: str) -> str:
        """This page in another language."""
        kept = [(name, value) for name, value in self._request.query_params.multi_items() if name != "lang"]
        # As it was sent: a serial's own slashes and question marks are still encoded there.
        path = self._request.scope.get("raw_path", b"").decode("ascii", "replace") or self._request.url.path
        if self._request.method == "POST":  # a decision's address is the alert's and the decision
            path = path.rpartition("/")[0]
        return f"{path}?{urlencode([*kept, ('lang', language)])}"
