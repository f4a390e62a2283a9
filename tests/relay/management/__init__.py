"""Tests for :mod:`nostrtx.relay.management`."""
