"""Text from outside, made safe to show: the one escape function of the project (invariant S3).

Nothing a venue, a file or an argument says reaches a terminal, a log or an error message except through `shown`.
"""

import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # controls, bidi and zero-width marks, line separators
SHOWN_LENGTH = 200


def shown(text: object, limit: int = SHOWN_LENGTH) -> str:
    """`text` with every control, bidi, zero-width and newline character written as an escape, cut to `limit`."""
    raw = text if isinstance(text, str) else str(text)
    cut = raw[: limit + 1]
    if len(cut) <= limit and cut.isascii() and cut.isprintable():  # most text there is: nothing of it is ever hidden
        return cut
    safe = "".join(_escape(character) for character in cut[:limit])
    return safe + ("…" if len(cut) > limit else "")


def _escape(character: str) -> str:
    if character == " " or (character.isprintable() and unicodedata.category(character) not in _HIDDEN):
        return character
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
