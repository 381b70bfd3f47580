"""A flow file for Node-RED: what its documentation and the PostgreSQL node's describe for messages to rows."""

from typing import Any, Final
from urllib.parse import urlsplit

from ingest.workload import TOPIC_FILTER

_ONE_ROW: Final = """
insert into peer_reading (meter, observed_at, register, status) values ($1, $2, $3, $4) on conflict do nothing"""
# One statement a message, rather than one a reading: the faster of the ways that the node has.
_MANY_ROWS: Final = """
insert into peer_reading (meter, observed_at, register, status)
select * from unnest($1::text[], $2::timestamptz[], $3::double precision[], $4::smallint[]) on conflict do nothing"""
_SPLIT: Final = """
const p = msg.payload;
return [p.meter.map((meter, i) => ({ params: [meter, p.observed_at[i], p.register[i], p.status[i]] }))];"""
_FUNCTION: Final = """
const p = msg.payload;
msg.params = [p.meter, p.observed_at, p.register, p.status];
return msg;"""


def flow(dsn: str, port: int, client_id: str, batched: bool, row_by_row: bool) -> list[dict[str, Any]]:
    """The nodes of the flow; `row_by_row` makes a statement of each reading of a batched message."""
    parts = urlsplit(dsn)
    database = {
        "host": parts.hostname,
        "port": str(parts.port),
        "database": parts.path.lstrip("/"),
        "user": parts.username,
        "password": parts.password,
        "ssl": "false",
        "max": "10",
        "min": "1",
        "idle": "10000",
        "connectionTimeout": "0",
    }
    kinds = {"port": "num", "max": "num", "min": "num", "idle": "num", "connectionTimeout": "num", "ssl": "bool"}
    typed = {f"{name}FieldType": kinds.get(name, "str") for name in database}
    where = {"z": "flow", "x": 100, "y": 100}
    broker = {
        "broker": "127.0.0.1",
        "port": str(port),
        "clientid": client_id,
        "autoConnect": True,
        "usetls": False,
        "protocolVersion": "4",
        "keepalive": "60",
        "cleansession": False,
        "autoUnsubscribe": False,
    }
    query = _MANY_ROWS if batched and not row_by_row else _ONE_ROW
    code = _SPLIT if row_by_row else _FUNCTION
    subscription = {"topic": TOPIC_FILTER, "qos": "1", "datatype": "json", "inputs": 0}
    return [
        {"id": "flow", "type": "tab", "label": "readings"},
        {"id": "broker", "type": "mqtt-broker", **broker},
        {"id": "database", "type": "postgresDB", **database, **typed},
        {"id": "in", "type": "mqtt in", **where, **subscription, "broker": "broker", "wires": [["fields"]]},
        {
            "id": "fields",
            "type": "function",
            **where,
            "func": code,
            "outputs": 1,
            "wires": [["insert"]],
        },
        {"id": "insert", "type": "postgrestor", **where, "query": query, "postgresDB": "database", "wires": [[]]},
    ]


def settings_file() -> str:
    """Node-RED's settings: no editor, no HTTP, warnings only."""
    return """module.exports = {
    uiHost: "127.0.0.1", uiPort: 0, httpAdminRoot: false, httpNodeRoot: false, credentialSecret: false,
    logging: { console: { level: "warn", metrics: false, audit: false } }
};
"""
