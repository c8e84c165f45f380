"""The proof of delivery: real processes under load while they are killed, and a ledger held against SQL at the end.

Refuses to know how the receiver keeps its promise: everything here stands outside of it.
"""
