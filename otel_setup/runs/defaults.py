"""The defaults for the runs of this process."""

from dataclasses import dataclass


@dataclass
class Defaults:
    """``writes``: runs are sent to the database; ``demo_mode``: they are demonstrations, which are not."""

    writes: bool = True
    demo_mode: bool = False


defaults = Defaults()
