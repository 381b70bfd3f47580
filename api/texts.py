"""The console's texts: one catalogue, `texts.toml`, in Chinese and English."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final, Literal, get_args

Language = Literal["zh", "en"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
HTML_LANGUAGE: Final[Mapping[Language, str]] = {"zh": "zh-CN", "en": "en"}

Catalogue = Mapping[str, Mapping[str, Mapping[str, str]]]


@cache
def load_catalogue() -> Catalogue:
    """Section, key and language of every text."""
    text = resources.files("api").joinpath("texts.toml").read_text("utf-8")
    return tomllib.loads(text)


class Texts:
    """The texts of one language."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self._catalogue = load_catalogue()

    def __call__(self, key: str, /, **values: object) -> str:
        """A text of the section `ui`, filled in. Raises KeyError for an unknown key."""
        return self._catalogue["ui"][key][self.language].format(**values)

    def of(self, section: str, key: str, /, **values: object) -> str:
        """A text of a section; a key that the catalogue doesn't know stands for itself, without underscores."""
        entry = self._catalogue[section].get(key)
        return key.replace("_", " ") if entry is None else entry[self.language].format(**values)

    def order(self, section: str) -> dict[str, int]:
        """The position of each key of a section in the catalogue."""
        return {key: position for position, key in enumerate(self._catalogue[section])}

    def has(self, section: str, key: str) -> bool:
        """Whether the catalogue knows the key."""
        return key in self._catalogue[section]


def choose_language(asked: str | None, accept_language: str, default: Language) -> Language:
    """`?lang=` if one of ours, else the browser's first choice among ours (RFC 9110, 12.5.4), or the default."""
    for language in LANGUAGES:
        if asked == language:
            return language
    best, best_quality = default, 0.0
    for entry in accept_language.split(",")[:20]:
        tag, _, parameters = entry.strip().partition(";")
        primary = tag.partition("-")[0].lower()
        quality = _quality(parameters)
        for language in LANGUAGES:
            if primary == language and quality > best_quality:
                best, best_quality = language, quality
    return best


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
