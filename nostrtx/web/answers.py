# -*- test-case-name: tests.web.test_answers -*-
"""
What every HTTP answer of the relay has in common (NIP-11: CORS on all of them).
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from nostrtx import __version__

SERVER = f"nostrtx/{__version__}"

#: Any web page may ask; ``Authorization`` must be named, for ``*`` leaves it out.
CORS_HEADERS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type"),
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS"),
)


def error_answer(
    code: int, reason: str, headers: Iterable[tuple[str, str]] = ()
) -> bytes:
    """
    A whole HTTP answer that refuses something and ends the connection.

    Args:
        code: The HTTP status.
        reason: What is wrong, for people; goes into the body only, for it may
            quote the request.
        headers: Further headers.
    """
    body = f"{reason}\n".encode()
    try:
        phrase = HTTPStatus(code).phrase
    except ValueError:
        phrase = "Error"
    lines = [f"HTTP/1.1 {code} {phrase}", f"Server: {SERVER}"]
    lines += [f"{name}: {value}" for name, value in (*CORS_HEADERS, *headers)]
    lines += [
        "Content-Type: text/plain; charset=utf-8",
        "X-Content-Type-Options: nosniff",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "\r\n",
    ]
    return "\r\n".join(lines).encode() + body
