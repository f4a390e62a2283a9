"""Tests of nostrtx.nostr."""
