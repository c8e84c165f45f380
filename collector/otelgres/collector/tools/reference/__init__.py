"""Reference pages written from what the program has: relations and functions, settings, and what is said of them.

Refuses to hold any text of its own about a view, a column or a setting: that stands where the thing is defined.
"""
