"""What strangers sent, fit to be printed: text without control characters, bytes in hexadecimal."""

_WIDTH = 16


def printable(text: str) -> str:
    """The text with everything escaped that a terminal might obey."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def payload_text(payload: bytes) -> str | None:
    """The payload as text where it is UTF-8 of mostly printable characters, lines kept; None where it is binary."""
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        # The cut may have parted a character.
        if error.start < len(payload) - 3 or error.reason != "unexpected end of data":
            return None
        text = payload[: error.start].decode("utf-8")
    odd = sum(not char.isprintable() and char not in "\r\n\t" for char in text)
    if not text or odd * 10 > len(text):
        return None
    return "\n".join(printable(line.expandtabs(4)) for line in text.splitlines())


def hex_dump(payload: bytes) -> str:
    """Offset, bytes and characters, 16 to a line."""
    lines = []
    for start in range(0, len(payload), _WIDTH):
        part = payload[start : start + _WIDTH]
        characters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{start:08x}  {part.hex(' '):<{3 * _WIDTH - 1}}  {characters}")
    return "\n".join(lines)
