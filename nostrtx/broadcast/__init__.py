"""News between the processes of one relay: how it travels."""
