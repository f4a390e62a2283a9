"""Tests for :mod:`nostrtx.web.answers`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.web.answers import error_answer


class ErrorAnswerTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.web.answers.error_answer`."""

    def test_whole(self) -> None:
        """The answer is complete: a client needs not wait for more."""
        head, _, body = error_answer(429, "too many — wait").partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        self.assertEqual(lines[0], b"HTTP/1.1 429 Too Many Requests")
        self.assertEqual(body.decode(), "too many — wait\n")
        self.assertIn(b"Content-Length: %d" % len(body), lines)
        self.assertIn(b"Connection: close", lines)
        self.assertIn(b"Access-Control-Allow-Origin: *", lines)

    def test_reason_is_not_a_header(self) -> None:
        """The reason cannot add a header, whatever it quotes."""
        head, _, _ = error_answer(400, "a\r\nSet-Cookie: b").partition(b"\r\n\r\n")
        self.assertNotIn(b"Set-Cookie", head)

    def test_unknown_status(self) -> None:
        """A status without a name is sent all the same."""
        self.assertTrue(error_answer(499, "").startswith(b"HTTP/1.1 499 Error\r\n"))

    def test_headers(self) -> None:
        """Further headers are sent."""
        self.assertIn(b"\r\nA: b\r\n", error_answer(400, "", [("A", "b")]))
