"""Writes docs/compatibility.md from the operations that the server registers; `--check` refuses a stale file."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from lambent.core.config import ServerConfig
from lambent.platform import Platform
from lambent.server import compatibility

TARGET = Path(__file__).parent.parent / "docs" / "compatibility.md"


async def page() -> str:
    """The page, from a real server's registry."""
    with tempfile.TemporaryDirectory() as folder:
        platform = Platform(ServerConfig(data=Path(folder) / "data", port=0))
        try:
            await platform.start()
            return compatibility.render(platform.registry)
        finally:
            await platform.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the file is current")
    text = asyncio.run(page())
    if not parser.parse_args().check:
        TARGET.write_text(text)
    elif not TARGET.exists() or TARGET.read_text() != text:
        sys.exit("docs/compatibility.md does not say what the code does; run `make docs` and commit it")


if __name__ == "__main__":
    main()
