"""
What the parts of the relay promise one another.

Storage, relay and the edge meet only here. Unless a docstring says otherwise,
everything is called from, and calls back in, the reactor's thread.
"""
