"""`meterproof simulate`: publish a simulated city's history into the running system and write its truth ledger."""

from pathlib import Path
from typing import Annotated

import typer

from meterproof.city_run import publish_messages, register_city
from meterproof.commands.replay import publisher_broker
from meterproof.console import err, out, print_json
from meterproof.embedded.runtime import find_servers
from meterproof.settings import Settings
from metrology.errors import InvalidInputError
from simulators.city import City
from simulators.scenario import load_scenario
from store.database import connect


def simulate(
    context: typer.Context,
    scenario: Annotated[Path, typer.Argument(help="TOML file; see simulators/scenarios/.")],
    truth: Annotated[Path | None, typer.Option(help="Write the truth ledger to this JSON file.")] = None,
    register: Annotated[bool, typer.Option(help="Import the city's zones and meters first.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Publish the planned history as fast as the broker takes it. The same scenario always sends the same bytes."""
    city = City(load_scenario(scenario))
    settings: Settings = find_servers(context.obj)
    if settings.mqtt is None:
        raise InvalidInputError("the section mqtt is not set; name the broker in mqtt.url and mqtt.client_id")
    if truth is not None:
        city.truth().write(truth)
    if register:
        with connect(settings.database) as conn:
            register_city(conn, city)
    plan = city.scenario
    if not as_json:
        err.print(f"{plan.name}: {len(city.serials)} meters, {plan.start:%Y-%m-%d} to {plan.end:%Y-%m-%d} UTC")
    done = publish_messages(city.messages(plan.start, plan.end), publisher_broker(settings.mqtt))
    if as_json:
        print_json({"messages": done.messages, "readings": done.readings, "sent_again": done.resent})
    else:
        out.print(f"published {done.readings:,} readings in {done.messages:,} messages")
