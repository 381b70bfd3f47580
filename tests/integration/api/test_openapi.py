"""The committed OpenAPI document is what the application says of itself."""

import json
from pathlib import Path

DOCUMENT = Path(__file__).parents[3] / "docs" / "openapi.json"
REMEDY = "docs/openapi.json is out of date; write it anew: python -m api.openapi > docs/openapi.json"


def test_the_committed_document_is_current(shared):
    served = shared.client.get("/openapi.json").json()
    committed = json.loads(DOCUMENT.read_text())
    assert committed["openapi"].startswith("3.1")
    for document in (served, committed):
        document["info"].pop("version")
    assert served == committed, REMEDY


def test_every_operation_says_what_it_does_and_how_it_fails(shared):
    document = shared.client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), (method, path)
            if path.startswith("/v1/"):
                assert {"404", "409", "422", "503"} <= operation["responses"].keys(), path
                schema = operation["responses"]["422"]["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, path
    assert "/alerts/{alert_id}" not in document["paths"]


def test_references_resolve(shared):
    document = shared.client.get("/openapi.json").json()
    text = json.dumps(document)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"]
