"""What runs of this process do unless they say otherwise. Refuses to know who sets it."""

from dataclasses import dataclass


@dataclass
class Defaults:
    """Whether runs are sent to the database, and whether they are demonstrations."""

    writes: bool = True
    demo_mode: bool = False


defaults = Defaults()
