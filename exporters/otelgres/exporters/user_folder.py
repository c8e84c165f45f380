"""Where the files of a user are kept, by the conventions of each system."""

from pathlib import Path
from typing import Final, Literal

_HOME: Final = {"data": Path(".local", "share"), "state": Path(".local", "state")}


def user_folder(kind: Literal["data", "state"]) -> Path:
    """Our folder for data or for state: below ``XDG_DATA_HOME`` or ``XDG_STATE_HOME``, or the system's counterpart.

    It is not made. Raises RuntimeError if the user has no home.
    """
    # Late: most applications never ask.
    from platformdirs import user_data_path, user_state_path

    path = (user_data_path if kind == "data" else user_state_path)("otelgres", appauthor=False)
    # A relative variable is to be ignored, says the XDG specification; platformdirs does so from 4.13 on.
    return path if path.is_absolute() else Path.home() / _HOME[kind] / "otelgres"
