"""The verifier as a service: it waits out faults, ends on a wish, and survives being killed."""

import os
import random
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg
from prometheus_client import CollectorRegistry, generate_latest

from store.database import DatabaseSettings, open_pool
from verifier.service import VerifierService
from verifier.settings import FollowerSettings, VerifierSettings

ROOT = Path(__file__).parents[3]
QUICK = VerifierSettings(follower=FollowerSettings(poll_s=0.02, retry_first_s=0.05, max_readings=20))


@contextmanager
def running(dsn, settings=QUICK):
    """A service in a thread of its own; yields its metrics' registry and the errors that ended it."""
    registry, stop, errors = CollectorRegistry(), threading.Event(), []
    with open_pool(DatabaseSettings(dsn=dsn)) as pool:
        service = VerifierService(settings, pool, registry, "test 1")

        def run():
            try:
                service.run(stop)
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield registry, errors
        finally:
            stop.set()
            thread.join(10)
    assert not thread.is_alive()


def wait_until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def followed(city):
    rows = city.query("select coalesce((select commit_seq from follower_cursor), 0) = commit_seq from batch_counter")
    return rows[0][0]


def test_it_follows_while_batches_come_and_tells_how_far_it_is(make_city):
    city = make_city()
    city.deliver([(1, 0, 100.0), (1, 1, 0.0), (1, 2, 100.1)])
    with running(city.dsn) as (registry, errors):
        wait_until(lambda: followed(city))
        city.deliver([(2, 0, 5.0), (2, 3, 5.1)])
        wait_until(lambda: followed(city) and registry.get_sample_value("meterproof_verifier_batches_total") == 2)
        assert not errors
        value = registry.get_sample_value
        assert value("meterproof_verifier_readings_total") == 5
        assert value("meterproof_verifier_findings_total", {"kind": "transient_glitch"}) == 1
        assert value("meterproof_verifier_findings_total", {"kind": "gap"}) == 1
        assert value("meterproof_verifier_alerts_total", {"change": "raised"}) == 1
        assert value("meterproof_verifier_lag_batches") == 0
        assert value("meterproof_verifier_group_seconds_count") == 2
        assert b"meterproof_verifier_group_seconds_bucket" in generate_latest(registry)
    assert city.kinds() == ["transient_glitch", "gap"]


def test_it_goes_on_after_the_database_cut_its_connections(make_city):
    city = make_city()
    with running(city.dsn) as (_, errors):
        for hour in range(12):
            city.deliver([(1, hour, 100.0 + hour / 100)])
            if hour % 4 == 2:
                with psycopg.connect(city.dsn, autocommit=True) as other:
                    other.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity"
                        " where datname = current_database() and application_name = 'meterproof'"
                    )
        wait_until(lambda: followed(city))
        assert not errors
    assert city.query("select total_micro from meter_state") == [(110_000,)]


def test_what_is_not_a_passing_fault_ends_it(make_city):
    city = make_city()
    city.connection.execute("alter table meter_state rename to elsewhere")
    city.connection.commit()
    city.deliver([(1, 0, 1.0)])
    with running(city.dsn) as (_, errors):
        wait_until(lambda: errors)
    assert isinstance(errors[0], psycopg.errors.UndefinedTable)


RUN = """
import sys, threading
from prometheus_client import CollectorRegistry
from store.database import DatabaseSettings, open_pool
from verifier.service import VerifierService
from verifier.settings import VerifierSettings
settings = VerifierSettings.model_validate_json(sys.argv[2])
with open_pool(DatabaseSettings(dsn=sys.argv[1])) as pool:
    VerifierService(settings, pool, CollectorRegistry(), "test 1").run(threading.Event())
"""


def test_killed_at_any_moment_it_loses_and_repeats_nothing(make_city):
    chance = random.Random(1)
    city = make_city(settings=QUICK)
    for hour in range(240):
        registers = [100.0 + hour / 100 if chance.random() > 0.1 else 0.0 for _ in range(3)]
        city.deliver([(meter, hour, register) for meter, register in enumerate(registers, 1)])
    command = [sys.executable, "-c", RUN, city.dsn, QUICK.model_dump_json()]

    def progress():
        return city.query("select coalesce(max(commit_seq), 0) from follower_cursor")[0][0]

    for _ in range(3):
        done = progress()
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        wait_until(lambda done=done: progress() > done)
        time.sleep(chance.random() * 0.05)
        process.kill()
        process.wait()
    assert progress() < 240  # it was killed amid its work
    city.follow()
    found = city.findings()
    assert {"transient_glitch"} <= {finding.kind for finding in found}

    # A verifier that was never disturbed, over the same batches, makes the same history.
    states = "select meter_id, anchor_at, total_micro from meter_state order by 1"
    history = (
        "select kind, meter_id, starts_at, ends_at, detail::text, superseded_at is null, commit_seq from finding"
        " order by starts_at, meter_id, kind, finding_id"
    )
    before = city.query(states), city.query(history)
    for table in ("alert_event", "alert", "finding", "meter_state", "meter_checkpoint", "follower_cursor"):
        city.connection.execute(f"delete from {table}")
    city.connection.commit()
    city.follow()
    assert city.findings() == found
    assert (city.query(states), city.query(history)) == before
