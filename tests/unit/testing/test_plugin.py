from __future__ import annotations

import subprocess
import sys


def test_the_plugin_imports_next_to_nothing() -> None:
    # It is loaded in every pytest run of every project that has Lambent installed.
    code = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import lambent.testing.plugin\n"
        "print(sorted(name for name in set(sys.modules) - before))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "['lambent', 'lambent.testing', 'lambent.testing.plugin']"
