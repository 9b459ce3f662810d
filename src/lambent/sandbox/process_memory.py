"""How much memory a process has used, as the kernel counts it."""

from __future__ import annotations


def peak_resident_bytes(pid: int) -> int:
    """Largest resident memory of the process so far (VmHWM); 0 when it is gone or unknown."""
    if pid <= 0:
        return 0
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0
