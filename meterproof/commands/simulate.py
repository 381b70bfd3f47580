"""`meterproof simulate`: publish a simulated city's history into the running system and write its truth ledger."""

from pathlib import Path
from typing import Annotated

import typer

from meterproof.city_run import obey_commands, publish_messages, register_city
from meterproof.commands.replay import publisher_broker, warn_without_gateway
from meterproof.console import err, out, print_json
from meterproof.embedded.runtime import find_servers
from meterproof.settings import Settings
from metrology.errors import InvalidInputError
from simulators.city import City
from simulators.scenario import load_scenario
from store.database import Connection, connect
from store.reading_series import reading_span
from store.registry import load_identities


def simulate(
    context: typer.Context,
    scenario: Annotated[Path, typer.Argument(help="TOML file; see simulators/scenarios/.")],
    truth: Annotated[Path | None, typer.Option(help="Write the truth ledger to this JSON file.")] = None,
    register: Annotated[bool, typer.Option(help="Import the city's zones and meters first.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Even if the utility's meters hold other readings.")] = False,
    answer_s: Annotated[
        float, typer.Option("--answer", min=0, help="Then obey commands to the city's concentrators for so long [s].")
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Publish the planned history as fast as the broker takes it. The same scenario always sends the same bytes."""
    city = City(load_scenario(scenario))
    settings: Settings = find_servers(context.obj)
    if settings.mqtt is None:
        raise InvalidInputError("the section mqtt is not set; name the broker in mqtt.url and mqtt.client_id")
    with connect(settings.database) as conn:
        if not force:
            _refuse_other_history(conn, city)
        if register:
            register_city(conn, city)
    if truth is not None:
        city.truth().write(truth)
    plan = city.scenario
    if not as_json:
        err.print(f"{plan.name}: {len(city.serials)} meters, {plan.start:%Y-%m-%d} to {plan.end:%Y-%m-%d} UTC")
    warn_without_gateway(publisher_broker(settings.mqtt))
    done = publish_messages(city.messages(plan.start, plan.end), publisher_broker(settings.mqtt))
    figures = {"messages": done.messages, "readings": done.readings, "sent_again": done.resent}
    if not as_json:
        out.print(f"published {done.readings:,} readings in {done.messages:,} messages")
    if answer_s:
        figures["commands"] = obey_commands(city, publisher_broker(settings.mqtt), answer_s)
        if not as_json:
            out.print(f"carried out {figures['commands']:,} commands")
    if as_json:
        print_json(figures)


def _refuse_other_history(conn: Connection, city: City) -> None:
    """Another city's readings on the same meters would make nonsense of both."""
    plan = city.scenario
    known = load_identities(conn).meters
    ids = [known[plan.utility, serial].meter_id for serial in city.serials if (plan.utility, serial) in known]
    spans = [span for span in (reading_span(conn, meter_id) for meter_id in ids) if span]
    outside = sum(first < plan.start or last >= plan.end for first, last in spans)
    if outside:
        dates = f"{plan.start:%Y-%m-%d} to {plan.end:%Y-%m-%d}"
        raise InvalidInputError(
            f"utility {plan.utility!r} holds readings of {outside} of these meters outside of {dates}: another city's; "
            "give the scenario another utility, or add --force"
        )
