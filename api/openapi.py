"""Writes the OpenAPI document: `python -m api.openapi > docs/openapi.json`."""

import json
import sys
from importlib.metadata import version

from prometheus_client import CollectorRegistry
from psycopg_pool import ConnectionPool

from api.app import create_app
from api.settings import ApiSettings


def openapi_document(software_version: str) -> str:
    """The document as indented JSON; no database is needed."""
    pool = ConnectionPool("", open=False)
    app = create_app(ApiSettings(), pool, CollectorRegistry(), software_version)
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(openapi_document(version("meterproof")))
