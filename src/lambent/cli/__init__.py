"""The command line: one file per command.

`up` is the server; every other command is an HTTP client of a running one. Modules here import only what parsing
a command line needs: what a command itself needs it imports when it runs, so that `lambent --help` is quick.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The console script `lambent`."""
    from lambent.cli import app

    sys.exit(app.run(sys.argv[1:]))
