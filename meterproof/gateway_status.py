"""Whether a gateway has subscribed at the broker: what is published before any has is kept for nobody."""

import asyncio
import ssl

import aiomqtt

from simulators.publisher import Broker

STATUS_FILTER = "mp/v1/_gateway/+/status"  # retained; a gateway publishes it once its subscriptions are granted


def gateway_has_subscribed(broker: Broker, timeout_s: float) -> bool:
    """True as soon as some gateway's status is found at the broker, online or not: its session keeps what is sent.

    False if none is within the time, or the status can't be read.
    """
    return asyncio.run(_look(broker, timeout_s))


async def _look(broker: Broker, timeout_s: float) -> bool:
    tls = None
    if broker.tls:
        tls = ssl.create_default_context(cafile=broker.ca_file)
        if broker.certificate_file:
            tls.load_cert_chain(broker.certificate_file, broker.key_file)
    try:
        async with (
            asyncio.timeout(timeout_s),
            aiomqtt.Client(
                broker.host, broker.port, username=broker.username, password=broker.password, tls_context=tls
            ) as client,
        ):
            await client.subscribe(STATUS_FILTER, qos=1)
            async for _ in client.messages:
                return True
    except (TimeoutError, aiomqtt.MqttError):
        return False
    return False
