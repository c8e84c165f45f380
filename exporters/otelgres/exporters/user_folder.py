"""The user's folders for data and state, by the conventions of each system."""

from pathlib import Path
from typing import Final, Literal

_HOME: Final = {"data": Path(".local", "share"), "state": Path(".local", "state")}


def user_folder(kind: Literal["data", "state"]) -> Path:
    """The folder ``otelgres`` in ``XDG_DATA_HOME`` or ``XDG_STATE_HOME``, or the system's equivalent.

    It is not created. Raises RuntimeError if the user has no home directory.
    """
    # Imported here, as most applications do not need it.
    from platformdirs import user_data_path, user_state_path

    path = (user_data_path if kind == "data" else user_state_path)("otelgres", appauthor=False)
    # By the XDG specification relative variables are ignored; platformdirs does so since 4.13.
    return path if path.is_absolute() else Path.home() / _HOME[kind] / "otelgres"
