"""`python -m chaos.app`: one replica, with its settings in the environment; its addresses are printed as JSON."""

from __future__ import annotations

import os

from chaos.app.process import refuse, run
from chaos.app.settings import SettingError, from_environment


def main() -> None:
    """Run until SIGTERM."""
    try:
        identity, knobs = from_environment(os.environ)
    except SettingError as error:
        refuse(str(error))
    run(identity, knobs)


if __name__ == "__main__":
    main()
