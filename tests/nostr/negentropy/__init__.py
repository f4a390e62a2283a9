"""Tests of nostrtx.nostr.negentropy."""
