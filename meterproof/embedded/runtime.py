"""The embedded servers of one folder: one process owns them, others find them by `running.json`."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.settings import MqttSettings
from meterproof.embedded.broker import EmbeddedBroker
from meterproof.embedded.postgres import EmbeddedPostgres, EmbeddedServerError
from meterproof.embedded.process import is_listening
from meterproof.settings import EmbeddedSettings, Settings
from metrology.errors import InvalidInputError

DATABASE = "meterproof"
CLIENT_ID = "meterproof-gateway"


@contextmanager
def embedded_servers(settings: Settings) -> Iterator[Settings]:
    """Start the embedded server for each address that is not set, and yield settings that name them; stop them after.

    Raises EmbeddedServerError if another process owns the folder's servers.
    """
    if settings.database.dsn and settings.mqtt and settings.mqtt.url:
        yield settings
        return
    folder = settings.embedded.var_dir
    with ExitStack() as stack:
        _own(folder, stack)
        dsn, mqtt = settings.database.dsn, settings.mqtt
        if not dsn:
            postgres = EmbeddedPostgres(folder / "postgres", binaries=settings.embedded.postgres_bin)
            stack.callback(postgres.stop)
            postgres.start()
            dsn = _database(postgres)
        if not mqtt or not mqtt.url:
            broker = EmbeddedBroker(folder / "broker", sync_interval=settings.embedded.broker_sync)
            stack.callback(broker.stop)
            broker.start()
            mqtt = at_broker(mqtt, broker.url)
        note = folder / "running.json"
        note.touch(mode=0o600)
        note.write_text(json.dumps({"dsn": dsn, "mqtt_url": mqtt.url, "pid": os.getpid()}), encoding="utf-8")
        stack.callback(note.unlink, missing_ok=True)
        yield with_addresses(settings, dsn, mqtt)


def find_servers(settings: Settings) -> Settings:
    """Settings with the addresses of the embedded servers that another process runs, where none are set.

    Raises InvalidInputError if there are none.
    """
    if settings.database.dsn and settings.mqtt and settings.mqtt.url:
        return settings
    note = settings.embedded.var_dir / "running.json"
    try:
        running = json.loads(note.read_text(encoding="utf-8"))
        if not (_is_reached(running["dsn"]) and is_listening(urlsplit(running["mqtt_url"]).port or 0)):
            raise ValueError("left over")
    except (OSError, ValueError):
        if settings.database.dsn:
            return settings  # a command that needs the broker says so itself
        raise InvalidInputError(
            "database.dsn is not set and no embedded server runs here; set it (METERPROOF_DATABASE__DSN), "
            "or start `meterproof serve` or `make demo` in this folder first"
        ) from None
    mqtt = settings.mqtt if settings.mqtt and settings.mqtt.url else at_broker(settings.mqtt, running["mqtt_url"])
    return with_addresses(settings, settings.database.dsn or running["dsn"], mqtt)


def check_servers(running: Settings) -> None:
    """Raises EmbeddedServerError if a server on this machine that the settings name takes no connections any more."""
    if not _is_reached(running.database.dsn):
        raise EmbeddedServerError("the database server ended; see postgres.log in its folder, and start again")
    mqtt = running.mqtt
    if mqtt and mqtt.address.hostname == "127.0.0.1" and not is_listening(mqtt.port):
        raise EmbeddedServerError("the MQTT broker ended; see nats.log in its folder, and start again")


def _is_reached(dsn: str) -> bool:
    """Whether the server of a DSN on the loopback address takes connections; others are not looked at."""
    parts = conninfo_to_dict(dsn)
    if parts.get("host") != "127.0.0.1":
        return True
    return is_listening(int(parts.get("port") or 5432))


def at_broker(mqtt: MqttSettings | None, url: str) -> MqttSettings:
    """The settings of the gateway at a broker: those given, or a session of the usual name."""
    return mqtt.model_copy(update={"url": url}) if mqtt else MqttSettings(url=url, client_id=CLIENT_ID)


def with_addresses(settings: Settings, dsn: str, mqtt: MqttSettings) -> Settings:
    """The same settings with another database and broker."""
    database = settings.database.model_copy(update={"dsn": dsn})
    return settings.model_copy(update={"database": database, "mqtt": mqtt})


def remove_data(settings: EmbeddedSettings) -> None:
    """Forget the embedded servers' data. Raises EmbeddedServerError while they run."""
    with ExitStack() as stack:
        _own(settings.var_dir, stack)
        shutil.rmtree(EmbeddedPostgres(settings.var_dir / "postgres", settings.postgres_bin).folder, ignore_errors=True)
        shutil.rmtree(settings.var_dir / "broker", ignore_errors=True)


def _own(folder: Path, stack: ExitStack) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = stack.enter_context((folder / "lock").open("w", encoding="ascii"))
    except OSError as error:
        raise EmbeddedServerError(
            f"embedded.var_dir = {folder}: {error.strerror}; name a folder that can be written"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise EmbeddedServerError(
            f"embedded.var_dir = {folder}: another meterproof runs its servers there; stop it, or set another folder"
        ) from None


def _database(postgres: EmbeddedPostgres) -> str:
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        if not conn.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone():
            conn.execute(f"create database {DATABASE}")
    return make_conninfo(postgres.dsn(), dbname=DATABASE)
