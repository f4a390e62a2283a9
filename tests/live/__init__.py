"""Tests against a relay in a process of its own, over real sockets."""
