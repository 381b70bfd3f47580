import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiomqtt
import pytest

from meterproof.embedded.broker import EmbeddedBroker
from metrology.errors import InvalidInputError
from simulators.payload import Message
from simulators.publisher import Broker, Progress, PublishError, PublishOptions, publish

TOPIC = "mp/v1/u/g/readings"


def numbered(count: int) -> Iterator[Message]:
    return (Message(TOPIC, f"{i:06d}".encode() + b"x" * 2000, 10) for i in range(count))


def subscriber(broker: EmbeddedBroker) -> aiomqtt.Client:
    return aiomqtt.Client("127.0.0.1", broker.port, identifier="receiver", clean_session=False)


async def receive(broker: EmbeddedBroker, expected: int, within_s: float = 30.0) -> list[int]:
    """Numbers of the messages received in a persistent session, until `expected` distinct ones are there."""
    seen: list[int] = []
    async with asyncio.timeout(within_s), subscriber(broker) as client:
        await client.subscribe(TOPIC, qos=1)
        async for message in client.messages:
            seen.append(int(bytes(message.payload)[:6]))
            if len(set(seen)) == expected:
                break
    return seen


async def make_session(broker: EmbeddedBroker) -> None:
    async with subscriber(broker) as client:
        await client.subscribe(TOPIC, qos=1)


async def test_all_messages_arrive_once_and_in_order(broker: EmbeddedBroker) -> None:
    await make_session(broker)
    seen: list[Progress] = []
    result = await publish(numbered(500), Broker.from_url(broker.url), PublishOptions(in_flight=16), seen.append)
    assert (result.messages, result.readings, result.resent, result.connections) == (500, 5000, 0, 1)
    assert [p.messages for p in seen] == list(range(1, 501))
    assert await receive(broker, 500) == list(range(500))


async def test_nothing_is_lost_when_the_broker_is_killed_on_the_way(broker: EmbeddedBroker) -> None:
    await make_session(broker)
    count, killed = 1500, asyncio.Event()

    def watch(progress: Progress) -> None:
        if progress.messages >= 300 and not killed.is_set():
            killed.set()

    async def kill_and_restart() -> None:
        await killed.wait()
        broker.kill()
        await asyncio.to_thread(broker.start)

    result, _ = await asyncio.gather(
        publish(numbered(count), Broker.from_url(broker.url), PublishOptions(in_flight=64), watch), kill_and_restart()
    )
    assert result.messages == count
    assert result.connections >= 2
    assert sorted(set(await receive(broker, count))) == list(range(count))


async def test_a_live_source_is_followed_and_the_pace_kept(broker: EmbeddedBroker) -> None:
    async def live() -> AsyncIterator[Message]:
        for message in numbered(6):
            await asyncio.sleep(0.02)
            yield message

    begun = time.monotonic()
    await publish(live(), Broker.from_url(broker.url), PublishOptions(readings_per_s=200.0))
    # The sixth message is due when the five before it, of 10 readings each, are through.
    assert 0.25 <= time.monotonic() - begun < 5.0


async def test_a_fault_of_the_source_ends_the_run_as_itself(broker: EmbeddedBroker) -> None:
    def faulty() -> Iterator[Message]:
        yield from numbered(3)
        raise InvalidInputError("the file changed")

    with pytest.raises(InvalidInputError, match="the file changed"):
        await publish(faulty(), Broker.from_url(broker.url))


async def test_a_broker_that_stays_away_is_given_up_with_a_clear_message() -> None:
    with pytest.raises(PublishError, match=r"broker 127\.0\.0\.1:1 has acknowledged nothing"):
        await publish(numbered(1), Broker("127.0.0.1", 1), PublishOptions(give_up_after_s=0.5))


async def test_a_sender_that_is_refused_is_told_at_once() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(bytes([0x20, 2, 0, 5]))  # CONNACK, not authorised (MQTT 3.1.1, table 3.1)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(PublishError, match=r"refuses the sender.*user and password"):
            await publish(numbered(1), Broker("127.0.0.1", port), PublishOptions(give_up_after_s=5.0))


async def test_missing_tls_files_are_told_at_once(tmp_path: Path) -> None:
    broker = Broker("127.0.0.1", 8883, tls=True, ca_file=str(tmp_path / "absent.pem"))
    with pytest.raises(PublishError, match=r"No such file.*TLS files"):
        await publish(numbered(1), broker, PublishOptions(give_up_after_s=0.5))


def test_broker_urls() -> None:
    assert Broker.from_url("mqtts://a%40b:p%3Aw@host") == Broker("host", 8883, "a@b", "p:w", tls=True)
    assert Broker.from_url("mqtt://[::1]:1884") == Broker("::1", 1884)
    for url in ("host:1883", "http://host", "mqtt://host:99999"):
        with pytest.raises(InvalidInputError, match="mqtt"):
            Broker.from_url(url)
    with pytest.raises(InvalidInputError, match="above 0"):
        PublishOptions(in_flight=0)
