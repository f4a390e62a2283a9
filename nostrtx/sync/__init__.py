"""
Bringing a store and another relay to hold the same events (NIP-77, NIP-01).

``connection`` speaks WebSocket, ``conversation`` knows what is said and finds who
waits for which answer. Over it ``differences`` finds out what either side lacks,
``transfers`` brings the events, and ``synchronization`` does both for some filters.
``peer`` is what the other relay says of itself (NIP-11).
"""
