"""The lineage in a trace header: how often each function has run already in one chain of requests.

Lambda developer guide, "Use Lambda recursive loop detection": the trace header that a function sees carries
`Lineage=<hash>:<count>|...`, AWS's SDKs send the header along with what the function asks of AWS, and a function whose
count has reached 16 is not run again. SDKs escape the `|`.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

LOOP_LIMIT: Final = 16
# A chain through more functions than this forgets those that ran longest ago; a header stays below 1 KB.
_FUNCTIONS: Final = 64
_MOST: Final = 99_999  # of a function that may loop
_FIELD: Final = "Lineage="
_ENTRY: Final = re.compile(r"([0-9a-f]{8}):([0-9]{1,5})")


def lineage_id(function_arn: str) -> str:
    """What stands for a function (unqualified ARN) in lineages: eight hex digits."""
    return hashlib.sha256(function_arn.encode()).hexdigest()[:8]


def advance(header: str, own: str) -> tuple[str, int]:
    """The header with one more run of the function `own`, and how many runs of it came before.

    Entries that are none are dropped. An empty header stays empty: such an event has no trace.
    """
    if not header:
        return "", 0
    if _FIELD not in header:
        return f"{header};{_FIELD}{own}:1", 0
    others, counts = [], {}
    for field in header.split(";"):
        if not field.strip().startswith(_FIELD):
            others.append(field)
            continue
        entries = field.strip()[len(_FIELD) :].replace("%7C", "|").replace("%7c", "|").split("|")
        counts.update({match[1]: int(match[2]) for match in map(_ENTRY.fullmatch, entries) if match is not None})
    before = counts.pop(own, 0)
    counts[own] = min(before + 1, _MOST)
    lineage = "|".join(f"{function}:{count}" for function, count in list(counts.items())[-_FUNCTIONS:])
    return ";".join([*others, _FIELD + lineage]), before
