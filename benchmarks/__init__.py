"""What the relay costs: load generator, corpora, scenarios. Start with ``run.py``."""
