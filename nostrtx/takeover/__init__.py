"""Restarting without downtime: one relay process takes over the ports of another."""
