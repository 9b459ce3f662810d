"""Writes docs/compatibility.md from the operations that the server registers; `--check` refuses a stale file."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

TARGET = Path(__file__).parent.parent / "docs" / "compatibility.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the file is current")
    arguments = parser.parse_args()
    from lambent.core.config import ServerConfig
    from lambent.platform import Platform
    from lambent.server import compatibility

    with tempfile.TemporaryDirectory() as folder:
        platform = Platform(ServerConfig(data=Path(folder), port=0))
        text = compatibility.render(platform.registry)
    if not arguments.check:
        TARGET.write_text(text)
    elif not TARGET.exists() or TARGET.read_text() != text:
        sys.exit("docs/compatibility.md does not say what the code does; run `make docs` and commit it")


if __name__ == "__main__":
    main()
