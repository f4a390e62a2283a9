"""What a relay does: take events in, answer queries, deliver live."""
