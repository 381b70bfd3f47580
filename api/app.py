"""The application: JSON under /v1, the console, probes and metrics."""

from pathlib import Path
from typing import Any, Final

import psycopg
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from prometheus_client import CollectorRegistry
from psycopg_pool import ConnectionPool

from api.console import pages
from api.console.rendering import Renderer
from api.context import Context
from api.errors import Problem, describe_problems, install_error_handlers
from api.head import HeadMiddleware
from api.instruments import DatabaseCollector, InstrumentMiddleware, RequestInstruments
from api.routers import (
    alerts,
    findings,
    health,
    meters,
    metrics,
    quarantine,
    readings,
    replacements,
    site_tests,
    summary,
    zones,
)
from api.security import SecurityMiddleware
from api.settings import ApiSettings

STATIC: Final = Path(__file__).parent / "static"
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in {
        404: "There is no such thing.",
        409: "Its state rules this out.",
        422: "Something in the request can't be used.",
        503: "The database can't be reached or is busy.",
    }.items()
}


def create_app(
    settings: ApiSettings,
    pool: ConnectionPool[psycopg.Connection[Any]],
    registry: CollectorRegistry,
    software_version: str,
) -> FastAPI:
    """The ASGI application. It uses the pool but neither opens nor closes it; its metrics go to `registry`."""
    app = FastAPI(
        title="Meterproof",
        version=software_version,
        summary="Readings, findings and alerts of utility meters verified in service.",
        # The usual documentation pages load scripts from elsewhere; the document itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
    )
    describe_problems(app)
    context = Context(settings, pool, software_version)
    renderer = Renderer(context)
    app.state.context, app.state.registry, app.state.renderer = context, registry, renderer
    install_error_handlers(app, renderer.problem_page)
    # A serial may hold slashes, so what stands behind it in an address is looked for first.
    for module in (readings, site_tests, meters, zones, findings, alerts, replacements, quarantine, summary):
        app.include_router(module.router, responses=_PROBLEMS)
    for router in (health.router, metrics.router, pages.router):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    registry.register(DatabaseCollector(context))
    app.add_middleware(
        SecurityMiddleware, allowed_hosts=settings.allowed_hosts, body_bytes_max=settings.request_bytes_max
    )
    app.add_middleware(HeadMiddleware)
    app.add_middleware(InstrumentMiddleware, instruments=RequestInstruments(registry))
    return app
