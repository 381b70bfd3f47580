"""Errors as problem details (RFC 9457): what is wrong, where, and what to do; never a traceback.

Programs get `application/problem+json`; a browser on a console page gets the same facts as a page.
"""

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from metrology.errors import InvalidInputError, MeterproofError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_TYPE_PREFIX = "urn:meterproof:problem:"
_MAX_SHOWN = 120
UNKNOWN_PARAMETER = "this parameter is unknown; /openapi.json lists those that are known"


class FieldProblem(BaseModel):
    """One thing in the request that can't be used."""

    parameter: str = Field(description="Where it stands, e.g. `query.limit` or `body.reason`.")
    value: str = Field(description="What was found there.")
    message: str = Field(description="What is wrong with it, and the remedy.")


class Problem(BaseModel):
    """Problem details, RFC 9457."""

    type: str = Field(description="A URN that names the kind of problem.")
    title: str
    status: int
    detail: str = Field(description="Place, value and remedy, for people.")
    instance: str = Field(description="The path that was asked for.")
    errors: list[FieldProblem] = Field(default_factory=list)


class RequestRefusedError(MeterproofError):
    """A request that is refused before anything is looked up."""

    def __init__(self, status: int, title: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.title = title


class ParameterError(InvalidInputError):
    """One parameter of a request that can't be used."""

    title = "Invalid parameter"

    def __init__(self, parameter: str, value: str, message: str) -> None:
        super().__init__(f"{parameter} = {_shown(value)}: {message}")
        self.problem = FieldProblem(parameter=parameter, value=_shown(value), message=message)


def make_problem(path: str, status: int, title: str, detail: str, errors: Sequence[FieldProblem] = ()) -> Problem:
    """Problem details; the type is named after the title. What UTF-8 can't hold, half a pair, is shown as its code."""
    slug = "-".join(title.lower().split())
    return Problem(
        type=_TYPE_PREFIX + slug,
        title=title,
        status=status,
        detail=_writable(detail),
        instance=_writable(path),
        errors=[
            FieldProblem(parameter=_writable(e.parameter), value=_writable(e.value), message=_writable(e.message))
            for e in errors
        ],
    )


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer that carries a problem."""
    body = problem.model_dump(exclude={"errors"} if not problem.errors else None)
    return JSONResponse(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def install_error_handlers(app: FastAPI, page: Callable[[Request, Problem], Response]) -> None:
    """Maps every error to a problem, once. `page` renders it for a browser on a console page."""

    def answer(request: Request, problem: Problem, headers: dict[str, str] | None = None) -> Response:
        if _wants_page(request):
            response = page(request, problem)
            response.headers.update(headers or {})
            return response
        return problem_response(problem, headers)

    def on_meterproof_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, MeterproofError)
        errors = [error.problem] if isinstance(error, ParameterError) else []
        return answer(request, make_problem(request.url.path, error.status, error.title, str(error), errors))

    def on_validation_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        errors = [_field_problem(item) for item in error.errors()]
        detail = "; ".join(f"{item.parameter} = {item.value}: {item.message}" for item in errors)
        return answer(request, make_problem(request.url.path, 422, "Invalid parameter", detail, errors))

    def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = f"{request.method} {request.url.path}: {_HTTP_REMEDIES.get(error.status_code, str(error.detail))}"
        title = HTTPStatus(error.status_code).phrase
        headers = dict(error.headers or {})
        return answer(request, make_problem(request.url.path, error.status_code, title, detail), headers)

    def on_database_error(request: Request, error: Exception) -> Response:
        status, title, detail = _database_problem(error)
        logger.warning("%s %s: %s: %s", request.method, request.url.path, type(error).__name__, error)
        headers = {"Retry-After": "5"} if status == 503 else {}
        return answer(request, make_problem(request.url.path, status, title, detail), headers)

    def on_any_error(request: Request, error: Exception) -> Response:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        detail = "The request failed for a reason within the software; its log says why."
        return answer(request, make_problem(request.url.path, 500, "Internal error", detail))

    app.add_exception_handler(MeterproofError, on_meterproof_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(psycopg.Error, on_database_error)
    app.add_exception_handler(PoolTimeout, on_database_error)
    app.add_exception_handler(Exception, on_any_error)


def describe_problems(app: FastAPI) -> None:
    """Lets the OpenAPI document name the media type of problems; the framework would write application/json."""
    original = app.openapi

    def describe() -> dict[str, Any]:
        document = original()
        for methods in document["paths"].values():
            for operation in methods.values():
                for response in operation["responses"].values():
                    content = response.get("content", {})
                    if content.get("application/json", {}).get("schema", {}).get("$ref", "").endswith("/Problem"):
                        content[MEDIA_TYPE] = content.pop("application/json")
        return document

    app.openapi = describe  # type: ignore[method-assign]  # the framework's documented way to extend the document


_HTTP_REMEDIES = {
    404: "nothing is found at this address; /openapi.json lists the addresses",
    405: "this address does not take this method; /openapi.json lists the methods",
}


def _wants_page(request: Request) -> bool:
    path = request.url.path
    is_program = path.startswith(("/v1/", "/static/")) or path in ("/livez", "/readyz", "/metrics", "/openapi.json")
    return not is_program and "text/html" in request.headers.get("accept", "")


def _field_problem(item: dict[str, Any]) -> FieldProblem:
    place = ".".join(str(part) for part in item["loc"])
    message = str(item["msg"]).removeprefix("Value error, ")
    match item["type"]:
        case "extra_forbidden":
            message = UNKNOWN_PARAMETER
        case "missing":
            message = "is missing; give it"
        case "json_invalid":
            message = f"the body is no valid JSON ({item.get('ctx', {}).get('error', message)}); send a JSON object"
    value = item.get("input")
    return FieldProblem(parameter=place, value=_shown(value), message=message)


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _shown(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


def _database_problem(error: Exception) -> tuple[int, str, str]:
    if isinstance(error, psycopg.errors.QueryCanceled):
        return 503, "Query took too long", "The query exceeded its time; narrow it by filters, a time range or a limit."
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        return 503, "Schema mismatch", "The database's schema does not fit this software; run `meterproof migrate`."
    if isinstance(error, PoolTimeout | psycopg.OperationalError):
        return 503, "Database unavailable", "The database can't be reached or is busy at the moment; try again shortly."
    return 500, "Internal error", "The database refused the request; the software's log says why."
