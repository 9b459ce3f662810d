"""Random patterns and events over so few names and values that they often meet."""

from __future__ import annotations

import random
from typing import Any

NAMES = ["a", "b", "c", "a.b", "b.c"]
TEXTS = ["", "a", "ab", "aba", "B", "Ab", "ba", "x/ab/y", "10.0.0.7", "10.0.1.7", "::1", "ß", "*"]
NUMBERS = [0, 1, -1, 1.0, 1.5, 2, 3e2, 300, -2.5, 2**53 + 1]
WILDCARDS = ["*", "a*", "*a", "*b*", "a*a", "x/*/y", "*/ab/*", "a*b*a", "\\*", "ab"]


def scalar(random: random.Random) -> Any:
    return random.choice([random.choice(TEXTS), random.choice(NUMBERS), None, True, False])


def event(random: random.Random, depth: int = 3) -> dict[str, Any]:
    def value(depth: int) -> Any:
        kind = random.random()
        if depth == 0 or kind < 0.4:
            return scalar(random)
        if kind < 0.7:
            return [value(depth - 1) for _ in range(random.randrange(4))]
        return event(random, depth - 1)

    return {random.choice(NAMES): value(depth) for _ in range(random.randrange(1, 4))}


def expression(random: random.Random) -> Any:
    text, texts = random.choice(TEXTS), random.sample(TEXTS, 2)
    plain = random.choice(TEXTS[1:])
    wildcard = random.choice(WILDCARDS)
    number = random.choice(NUMBERS)
    return random.choice(
        [
            *[scalar(random) for _ in range(8)],
            {"prefix": text},
            {"prefix": {"equals-ignore-case": text}},
            {"suffix": text},
            {"suffix": {"equals-ignore-case": text}},
            {"equals-ignore-case": text},
            {"wildcard": wildcard},
            {"numeric": [random.choice(["<", "<=", ">", ">=", "="]), number]},
            {"numeric": [random.choice([">", ">="]), random.choice([-3, 0, 1]), random.choice(["<", "<="]), 2]},
            {"cidr": random.choice(["10.0.0.0/24", "10.0.0.0/8", "10.0.0.8/24", "::/64"])},
            {"exists": True},
            {"exists": False},
            {"anything-but": text},
            {"anything-but": number},
            {"anything-but": texts},
            {"anything-but": {"prefix": plain}},
            {"anything-but": {"suffix": [plain, "b"]}},
            {"anything-but": {"equals-ignore-case": texts}},
            {"anything-but": {"wildcard": [wildcard, "x*"]}},
        ]
    )


def pattern(random: random.Random, depth: int = 2) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for _ in range(random.randrange(1, 4)):
        deeper = depth > 0 and random.random() < 0.5
        values = [expression(random) for _ in range(random.randrange(1, 4))]
        fields[random.choice(NAMES)] = pattern(random, depth - 1) if deeper else values
    if depth == 2 and random.random() < 0.2:
        fields["$or"] = [pattern(random, 0) for _ in range(random.randrange(2, 4))]
    return fields
