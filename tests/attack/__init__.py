"""Attacks on a running receiver and its database, for ``make attack``; bounded in count and time."""
