"""Writes the generated pages anew: settings.md, openapi.json, asyncapi.json, regulations/. Tests hold them current."""

import sys
import types
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from api.openapi import openapi_document
from gateway.asyncapi import asyncapi_document
from gateway.codec.registry import BUILT_IN, find_codec
from meterproof.settings import Settings
from meterproof.version import software_version
from metrology.regulation import load_regulations
from metrology.regulation_page import index_page, regulation_page

DOCS = Path(__file__).parents[1] / "docs"
INTRODUCTION = """\
# Settings

A TOML file (`meterproof.toml` in the working folder, or `--config FILE`) below environment variables: the setting
`dsn` in the section `database` is `METERPROOF_DATABASE__DSN`. An unknown name is an error. `meterproof check-config`
prints what is in force.

This page is written by `make docs` from the settings' definitions.
"""

CODEC_INTRODUCTION = """\
# Options of the codecs

What the table `options` of a source may hold, codec by codec; [codecs.md](codecs.md) tells how they work.

This page is written by `make docs` from the options' definitions.
"""


def settings_page() -> str:
    """docs/settings.md: every section and setting with type, default and meaning."""
    parts = [INTRODUCTION]
    for name, field in Settings.model_fields.items():
        parts.append(_section(name, _model_of(field)))
    return "\n".join(parts)


def _section(path: str, model: type[BaseModel]) -> str:
    summary = (model.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
    lines = [f"## `[{path}]`", "", " ".join(summary.split()), ""]
    lines += ["| Setting | Type | Default | Meaning |", "|---|---|---|---|"]
    nested = []
    for name, field in model.model_fields.items():
        inner = _model_of(field)
        if inner:
            nested.append(_section(f"{path}.{name}", inner))
            continue
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        lines.append(f"| `{name}` | {_type_name(field.annotation)} | {_default(field)} | {meaning} |")
    return "\n".join([*lines, "", *nested])


def _model_of(field: FieldInfo) -> Any:
    options = typing.get_args(field.annotation) or (field.annotation,)
    return next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)


def _type_name(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _type_name(typing.get_args(annotation)[0])
    if origin is typing.Literal:
        return " \\| ".join(f"`{value}`" for value in typing.get_args(annotation))
    if origin in (typing.Union, types.UnionType):
        return _type_name(next(a for a in typing.get_args(annotation) if a is not type(None)))
    if origin is not None:
        inner = ", ".join(_type_name(a) for a in typing.get_args(annotation) if a is not Ellipsis)
        return f"{origin.__name__} of {inner}"
    return "text" if annotation in (str, SecretStr) else getattr(annotation, "__name__", str(annotation)).lower()


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined and field.default_factory is None:
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ("", {}, ()):
        return "–"
    if isinstance(value, dict):
        value = {str(key): str(item) for key, item in value.items()}
    return f"`{list(value)}`" if isinstance(value, tuple) else f"`{value}`"


def codec_options_page() -> str:
    """docs/codec-options.md: every codec of the gateway with its options."""
    parts = [CODEC_INTRODUCTION]
    for name in BUILT_IN:
        kind = find_codec(name)
        summary = kind.summary[0].upper() + kind.summary[1:]
        parts.append(f"## `{name}`\n\n{summary}.\n")
        if kind.options.model_fields:
            parts += _option_tables(name, kind.options)
    return "\n".join(parts)


def _option_tables(path: str, model: type[BaseModel]) -> list[str]:
    lines = ["| Option | Type | Default | Meaning |", "|---|---|---|---|"]
    nested: list[str] = []
    for name, field in model.model_fields.items():
        shown = field.alias or name
        inner = _model_of(field)
        default = "required" if field.is_required() else "see below" if inner and field.default else _default(field)
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        lines.append(f"| `{shown}` | {'table' if inner else _type_name(field.annotation)} | {default} | {meaning} |")
        if inner:
            nested += [f"Each of `{path}.{shown}`:", "", *_option_tables(f"{path}.{shown}", inner)]
    return ["\n".join(lines), "", *nested]


def regulation_pages() -> dict[str, str]:
    """docs/regulations/: a page for each regulation and the index."""
    regulations = load_regulations()
    pages = {f"{regulation.id}.md": regulation_page(regulation) for regulation in regulations}
    return pages | {"README.md": index_page(regulations)}


def main() -> int:
    """Write the pages that are out of date."""
    pages = {
        DOCS / "settings.md": settings_page(),
        DOCS / "codec-options.md": codec_options_page(),
        DOCS / "openapi.json": openapi_document(software_version()),
        DOCS / "asyncapi.json": asyncapi_document(software_version()),
    }
    pages |= {DOCS / "regulations" / name: text for name, text in regulation_pages().items()}
    for path, text in pages.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.name}")  # noqa: T201  # a script's only voice
    return 0


if __name__ == "__main__":
    sys.exit(main())
