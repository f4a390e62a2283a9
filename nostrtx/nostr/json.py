# -*- test-case-name: tests.nostr.test_json -*-
"""
JSON: the one module that knows which library reads and writes it.

The parser is lenient (it takes ``NaN``, ``01``, raw control characters and lone
surrogates), so nothing may rely on it to refuse: the checks of shape decide, and
the hash of an event is taken over what we write, never over what we read.
"""

from __future__ import annotations

import ujson


class NotJSONError(ValueError):
    """The text is not JSON, or it is nested or sized beyond reason."""


def loads(text: bytes | str) -> object:
    """
    The value that ``text`` (UTF-8 if bytes) spells.

    Raises:
        NotJSONError: The text cannot be parsed.
    """
    try:
        return ujson.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotJSONError(str(error)) from None


def dumps(value: object) -> bytes:
    r"""
    Compact UTF-8 JSON, byte for byte what NIP-01 hashes.

    Inside strings exactly the escapes ``\n \" \\ \r \t \b \f`` are short, other
    characters below U+0020 become ``\u00xx``, and everything else is verbatim.

    Raises:
        UnicodeEncodeError: A string holds a lone surrogate.
    """
    return ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False).encode()
