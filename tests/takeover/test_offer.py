"""Tests for :mod:`nostrtx.takeover.offer`."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.takeover.offer import (
    VERSION,
    Offer,
    OfferError,
    distinct,
    receive_offer,
    send_offer,
    send_refusal,
    tcp_key,
    unix_key,
)


def same_file(one: int, other: int) -> bool:
    """Whether two descriptors are of one file."""
    return os.path.sameopenfile(one, other)


class OfferTests(SynchronousTestCase):
    """What one process offers to another."""

    def setUp(self) -> None:
        """A connection between both."""
        self.old, self.new = socket.socketpair()
        for each in (self.old, self.new):
            each.settimeout(5)
            self.addCleanup(each.close)

    def files(self, count: int) -> list[int]:
        """Some open files, each another one."""
        opened = []
        for _ in range(count):
            opened.append(os.memfd_create("file"))
            self.addCleanup(os.close, opened[-1])
        return opened

    def received(self) -> Offer:
        """What the new one gets."""
        offer = receive_offer(self.new)
        for descriptors in offer.ports.values():
            for each in descriptors:
                self.addCleanup(os.close, each)
        return offer

    def refusal(self) -> str:
        """Why the new one gets nothing."""
        return str(self.assertRaises(OfferError, receive_offer, self.new))

    def assert_same(self, ones: Sequence[int], others: Sequence[int]) -> None:
        """Both are the same open files, in the same order."""
        self.assertEqual(len(ones), len(others))
        self.assertTrue(all(map(same_file, ones, others)))

    def test_ports(self) -> None:
        """Every port arrives with its sockets, and none is left to children."""
        files = self.files(4)
        ports = {tcp_key("", 80): files[:3], unix_key("/run/x"): files[3:]}
        send_offer(self.old, Offer(77, ports))
        offer = self.received()
        self.assertEqual(offer.pid, 77)
        self.assertEqual(list(offer.ports), list(ports))
        for key, descriptors in ports.items():
            self.assert_same(offer.ports[key], descriptors)
            self.assertFalse(any(map(os.get_inheritable, offer.ports[key])))

    def test_many(self) -> None:
        """More sockets than the system passes at once arrive all the same."""
        files = self.files(450)
        send_offer(self.old, Offer(1, {("tcp", "", "80"): files}))
        self.assert_same(self.received().ports["tcp", "", "80"], files)

    def test_none(self) -> None:
        """There may be nothing to be had."""
        send_offer(self.old, Offer(1, {}))
        self.assertEqual(self.received(), Offer(1, {}))

    def test_refused(self) -> None:
        """The old one can say why not."""
        send_refusal(self.old, "is busy")
        self.assertEqual(self.refusal(), "is busy")

    def test_gone(self) -> None:
        """The old one may be gone before it has said anything."""
        self.old.close()
        self.assertEqual(self.refusal(), "has ended the connection")

    def test_other_version(self) -> None:
        """What a later version says is not guessed at."""
        self.old.sendall(json.dumps([VERSION + 1, 1, []]).encode() + b"\n")
        self.assertIn("of another version", self.refusal())

    def test_not_understood(self) -> None:
        """Whatever else is said is no offer, also if a socket is missing."""
        port = [["tcp", "", "80"], 1]
        for said in ("x", "{}", "1", "[1, 2, 3]", f"[1, 1, {json.dumps([port])}]"):
            self.old.sendall(said.encode() + b"\n")
            self.assertEqual(self.refusal(), "says what is not understood", said)

    def test_closed_on_failure(self) -> None:
        """Sockets of an offer that is not understood are closed."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        socket.send_fds(self.old, [b"x\n"], [theirs.fileno()])
        theirs.close()
        self.refusal()
        self.assertEqual(ours.recv(1), b"")


class KeyTests(SynchronousTestCase):
    """Names of ports."""

    def test_distinct(self) -> None:
        """Ports that the system chooses are told apart by their order."""
        known = {tcp_key("", 0)}
        second = distinct(tcp_key("", 0), known)
        self.assertNotIn(second, known)
        third = distinct(tcp_key("", 0), {*known, second})
        self.assertNotIn(third, {*known, second})
        self.assertEqual(distinct(tcp_key("", 1), known), tcp_key("", 1))
