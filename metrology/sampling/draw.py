"""Random samples that anyone can recompute: hash-ranked selection from a published seed and a list of serials.

Each serial gets the key SHA-256("meterproof-draw/1" LF seed LF serial); the smallest keys are the sample. The list's
digest is published before the seed is known, so that neither side can steer the draw. `docs/sampling-draws.md`
specifies it byte by byte with a worked example (sampling at random: ISO 2859-1, clause 8; 双随机 inspection).
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from metrology.arrays import whole
from metrology.errors import InvalidInputError

ALGORITHM: Final = "meterproof-draw/1"
MAX_TEXT_LENGTH: Final = 256
_ASCII_UPPER: Final = {lower: lower - 32 for lower in range(ord("a"), ord("z") + 1)}


@dataclass(frozen=True, slots=True)
class Draw:
    """A draw as it is published: with these figures and the list anyone can recompute it.

    `selected` holds the sample and `reserves` the next in rank (they replace, in order, units that can't be had), both
    as normalised serials in rank order.
    """

    algorithm: str
    seed: str
    list_sha256: str
    list_size: int
    selected: tuple[str, ...]
    reserves: tuple[str, ...]


def normalise_serial(serial: str) -> str:
    """The form of a serial that enters a draw: NFKC, without white space, ASCII letters in capitals; zeros stay.

    Raises InvalidInputError for an empty serial, one of more than 256 characters or with control characters.
    """
    text = "".join(unicodedata.normalize("NFKC", _text("serial", serial)).split()).translate(_ASCII_UPPER)
    _check_text("serial", serial, text)
    return text


def normalise_seed(seed: str) -> str:
    """The form of a seed that enters a draw: NFKC, without white space at its ends. Raises as `normalise_serial`."""
    text = unicodedata.normalize("NFKC", _text("seed", seed)).strip()
    _check_text("seed", seed, text)
    return text


def list_sha256(serials: Iterable[str]) -> str:
    """The digest of a list, published before the seed: SHA-256 of the sorted normalised serials, an LF after each."""
    ordered = sorted(text.encode() for text in _normalised(serials))
    return hashlib.sha256(b"".join(text + b"\n" for text in ordered)).hexdigest()


def rank(serials: Iterable[str], seed: str) -> list[str]:
    """All serials, normalised, in the order of a draw. The order of the input doesn't matter."""
    prefix = hashlib.sha256(f"{ALGORITHM}\n{normalise_seed(seed)}\n".encode())

    def key(serial: str) -> tuple[bytes, bytes]:
        digest, text = prefix.copy(), serial.encode()
        digest.update(text)
        return digest.digest(), text  # equal digests have never been seen; the text would settle them

    return sorted(_normalised(serials), key=key)


def draw(serials: Iterable[str], seed: str, sample_size: int, reserves: int = 0) -> Draw:
    """Draw `sample_size` serials and as many `reserves` as the list has left, up to the number asked for.

    Raises InvalidInputError for a serial twice in the list (after normalisation), and a sample larger than the list.
    """
    listed = _listed(serials)
    whole("sample size", sample_size, least=1)
    whole("reserves", reserves, least=0)
    if sample_size > len(listed):
        raise InvalidInputError(f"sample size {sample_size} exceeds the {len(listed)} serials of the list")
    ranked = rank(listed, seed)
    return Draw(
        algorithm=ALGORITHM,
        seed=normalise_seed(seed),
        list_sha256=list_sha256(listed),
        list_size=len(listed),
        selected=tuple(ranked[:sample_size]),
        reserves=tuple(ranked[sample_size : sample_size + reserves]),
    )


def allocate(stratum_sizes: Mapping[str, int], sample_size: int) -> dict[str, int]:
    """Share a sample among strata in proportion to their sizes, by largest remainder.

    Whole quotas first; what is left goes one each to the largest remainders, ties to the larger stratum, then to the
    smaller name in code-point order. A stratum may get none: give each its own sample size where that must not be.
    """
    for name, size in stratum_sizes.items():
        whole(f"size of stratum {name!r}", size, least=0)
    whole("sample size", sample_size, least=0)
    total = sum(stratum_sizes.values())
    if not 1 <= sample_size <= total:
        raise InvalidInputError(
            f"sample size {sample_size} for strata of {total} units: it must be between 1 and their sum"
        )
    shares = {name: sample_size * size // total for name, size in stratum_sizes.items()}
    left = sample_size - sum(shares.values())
    remainder = {name: sample_size * size % total for name, size in stratum_sizes.items()}
    order = sorted(stratum_sizes, key=lambda name: (-remainder[name], -stratum_sizes[name], name))
    for name in order[:left]:
        shares[name] += 1
    return shares


def draw_stratified(
    strata: Mapping[str, Iterable[str]], seed: str, sample_sizes: int | Mapping[str, int], reserves: int = 0
) -> dict[str, Draw]:
    """Draw from each stratum (a manufacturer, a model, a district) with the same seed.

    `sample_sizes`: one in all, shared by `allocate`, or one a stratum. The key of a serial doesn't depend on its
    stratum: a stratified draw with a single stratum equals the simple draw. Strata with a share of 0 are left out.
    Raises InvalidInputError as `draw`, for a serial in two strata, and for a sample size without its stratum.
    """
    listed = {name: _listed(serials) for name, serials in strata.items()}
    _normalised(serial for serials in listed.values() for serial in serials)
    if isinstance(sample_sizes, Mapping):
        if unknown := sorted(set(sample_sizes) - set(listed)):
            raise InvalidInputError(
                f"stratum {unknown[0]!r} has a sample size but no list; strata: {', '.join(listed)}"
            )
        shares = dict(sample_sizes)
    else:
        shares = allocate({name: len(serials) for name, serials in listed.items()}, sample_sizes)
    return {name: draw(listed[name], seed, share, reserves) for name, share in shares.items() if share != 0}


def _listed(serials: Iterable[str]) -> list[str]:
    if isinstance(serials, str):
        raise InvalidInputError(f"{serials[:40]!r} is one text; give a list of serials")
    return list(serials)


def _normalised(serials: Iterable[str]) -> list[str]:
    first_given: dict[str, str] = {}
    for serial in _listed(serials):
        text = normalise_serial(serial)
        if text in first_given:
            raise InvalidInputError(
                f"serial {serial!r} is in the list twice (also as {first_given[text]!r}); "
                "remove one, or put before each what tells them apart (utility, manufacturer)"
            )
        first_given[text] = serial
    return list(first_given)


def _text(kind: str, given: str) -> str:
    """Text only: a serial read as a number has lost its leading zeros."""
    if not isinstance(given, str):
        raise InvalidInputError(f"{kind} {given!r} is not a text; read the list without converting numbers")
    return given


def _check_text(kind: str, given: str, text: str) -> None:
    """Only visible, normalised text: an LF or an invisible sign would make two readers hash different bytes."""
    if not 0 < len(text) <= MAX_TEXT_LENGTH:
        raise InvalidInputError(f"{kind} {given[:40]!r} must have 1 to {MAX_TEXT_LENGTH} characters")
    if not unicodedata.is_normalized("NFKC", text):
        raise InvalidInputError(f"{kind} {given[:40]!r} holds an accent apart from its letter; close the gap")
    for character in text:
        if unicodedata.category(character)[0] == "C" or unicodedata.category(character) in {"Zl", "Zp"}:
            raise InvalidInputError(f"{kind} {given[:40]!r} holds the control character {character!r}; remove it")
