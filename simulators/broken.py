"""Messages that no receiver should accept, to show that they are kept as evidence and harm nothing beside them."""

from datetime import datetime

import msgspec

from simulators.payload import Message


def broken_messages(utility: str, serial: str, moment: datetime) -> list[Message]:
    """One message of each sort: cut off, of a wrong unit, of an unknown utility, and with one bad row among good ones.

    `serial` is a registered electricity meter; `moment` a time of a reading that it has sent.
    """
    topic = f"mp/v1/{utility}/broken/readings"
    good = {
        "v": 1,
        "id": "broken/1",
        "medium": "electricity",
        "unit": "kWh",
        "observed_at": [moment.isoformat()],
        "meter": [serial],
        "register": [1.0],
    }
    whole = msgspec.json.encode(good)
    return [
        Message(topic, whole[: len(whole) // 2], 0),
        Message(topic, msgspec.json.encode({**good, "id": "broken/2", "unit": "furlong"}), 0),
        Message("mp/v1/nowhere/broken/readings", msgspec.json.encode({**good, "id": "broken/3"}), 0),
        Message(topic, msgspec.json.encode({**good, "id": "broken/4", "register": [-1.0]}), 0),
    ]
