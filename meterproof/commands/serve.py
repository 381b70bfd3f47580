"""`meterproof serve`: the gateway, the repair, the verifier and the HTTP interface, together or one of them."""

import gc
import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from prometheus_client import CollectorRegistry, start_http_server
from psycopg_pool import ConnectionPool

from gateway.settings import GatewaySettings
from meterproof.embedded.runtime import embedded_servers, find_servers
from meterproof.settings import Settings, load_settings
from meterproof.supervisor import Component, run_components
from meterproof.version import software_version
from metrology.errors import InvalidInputError, MeterproofError
from store.database import Connection, connect, open_pool
from store.migrate import migrate

log = logging.getLogger(__name__)
Pool = ConnectionPool[Connection]
Reload = Callable[[GatewaySettings], None]


class Role(StrEnum):
    """What one process may do."""

    ALL = "all"
    GATEWAY = "gateway"
    REPAIR = "repair"
    VERIFIER = "verifier"
    API = "api"


def serve(
    context: typer.Context,
    role: Annotated[Role, typer.Argument(help="One role, or all in this process.")] = Role.ALL,
    parent: Annotated[int, typer.Option(hidden=True, help="End when this process, the parent, is gone.")] = 0,
) -> None:
    """Run until SIGINT or SIGTERM. Addresses that are not set mean the embedded servers.

    SIGHUP reads gateway.sources again; wrong settings are logged, and the sources in force stay.
    """
    settings: Settings = context.obj
    config: Path | None = context.find_root().params.get("config")
    with ExitStack() as stack:
        if role is Role.ALL:
            running = stack.enter_context(embedded_servers(settings))
            with connect(running.database) as conn:
                migrate(conn)
        else:
            running = find_servers(settings)
        failure = serve_roles(running, _roles(role), parent, lambda: load_settings(config).gateway)
    if failure is not None:
        raise failure


def _roles(role: Role) -> list[Role]:
    return [Role.GATEWAY, Role.REPAIR, Role.VERIFIER, Role.API] if role is Role.ALL else [role]


def serve_roles(
    settings: Settings,
    roles: list[Role],
    parent_pid: int = 0,
    reread: Callable[[], GatewaySettings] | None = None,
) -> BaseException | None:
    """Run the roles in this process until a signal; the error that ended one of them, or None.

    `reread` yields the gateway's settings anew when SIGHUP comes.
    """
    registry = CollectorRegistry()
    reloads: list[Reload] = []
    makers: dict[Role, Callable[[Settings, Pool, CollectorRegistry], Component]] = {
        Role.GATEWAY: partial(_gateway, reloads),
        Role.REPAIR: _repair,
        Role.VERIFIER: _verifier,
        Role.API: _api,
    }
    with open_pool(settings.database) as pool:
        components = {role.value: makers[role](settings, pool, registry) for role in roles}
        if Role.API not in roles:
            _serve_metrics(settings, roles, registry)
        on_hangup = partial(reload_sources, reloads[0], reread, settings.gateway) if reloads and reread else None
        # What is loaded by now stays to the end; looking through it again and again for cycles is a sixth of the
        # gateway's processor time where each message holds one reading.
        gc.collect()
        gc.freeze()
        return run_components(components, parent_pid, on_hangup)


def reload_sources(reload: Reload, reread: Callable[[], GatewaySettings], running: GatewaySettings) -> None:
    """Give the gateway the sources as the settings name them now; where those are wrong, log it and change nothing."""
    try:
        settings = reread()
        reload(settings)
    except MeterproofError as error:
        log.error("SIGHUP: the sources in force stay: %s", error)
        return
    if settings.model_copy(update={"sources": running.sources}) != running:
        log.warning("SIGHUP: settings of the gateway beside its sources have changed; they need a restart")


# A process loads only what its roles run: the mathematics take a second to import, the HTTP interface another half.
# ruff: noqa: PLC0415
def _gateway(reloads: list[Reload], settings: Settings, pool: Pool, registry: CollectorRegistry) -> Component:
    from gateway.service import GatewayService

    if settings.mqtt is None:
        raise InvalidInputError("the section mqtt is not set; name the broker in mqtt.url and mqtt.client_id")
    service = GatewayService(settings.gateway, settings.mqtt, pool, registry)
    reloads.append(service.reload)
    return service.run


def _repair(settings: Settings, pool: Pool, registry: CollectorRegistry) -> Component:
    from gateway.repair.service import RepairService

    if settings.mqtt is None:
        raise InvalidInputError("the section mqtt is not set; name the broker in mqtt.url and mqtt.client_id")
    return RepairService(settings.repair, settings.mqtt, pool, registry).run


def _verifier(settings: Settings, pool: Pool, registry: CollectorRegistry) -> Component:
    from verifier.assessors import Assessors
    from verifier.light_load_assessor import LightLoadAssessor
    from verifier.service import VerifierService
    from verifier.zone_assessor import ZoneAssessor

    assessor = Assessors(ZoneAssessor(settings.verifier), LightLoadAssessor(settings.verifier))
    return VerifierService(settings.verifier, pool, registry, software_version(), assessor).run


def _api(settings: Settings, pool: Pool, registry: CollectorRegistry) -> Component:
    from api.app import create_app

    app = create_app(settings.api, pool, registry, software_version())
    return http_component(app, settings.api.host, settings.api.port)


def http_component(app: Callable[..., Any], host: str, port: int) -> Component:
    """An ASGI application as a component; it is drained when the stop event is set."""

    def run(stop: threading.Event) -> None:
        import uvicorn

        config = uvicorn.Config(app, host=host, port=port, log_config=None, access_log=False, lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, name="uvicorn")
        thread.start()
        while thread.is_alive() and not stop.wait(0.2):
            pass
        server.should_exit = True
        thread.join()
        if not stop.is_set():
            raise InvalidInputError(f"the HTTP interface could not listen on {host}:{port}; set api.host and api.port")

    return run


def _serve_metrics(settings: Settings, roles: list[Role], registry: CollectorRegistry) -> None:
    metrics = settings.metrics
    ports = {
        Role.GATEWAY: metrics.gateway_port,
        Role.REPAIR: metrics.repair_port,
        Role.VERIFIER: metrics.verifier_port,
    }
    for role in roles:
        if ports.get(role):
            start_http_server(ports[role], addr=metrics.host, registry=registry)
            log.info("metrics of the %s on %s:%d", role, metrics.host, ports[role])
