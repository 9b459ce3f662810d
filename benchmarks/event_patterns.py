"""Events a second through the pattern automaton, by CPU time of this process.

The floor is what nothing can do without: decoding the event's JSON. The corpus of city lots that the literature uses
is imitated by a generator of the same shape (about 900 bytes, arrays of coordinates); its files are not ours to ship.
Each order event matches one pattern, however many there are.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks import harness
from lambent.core.event_patterns.automaton import PatternAutomaton
from lambent.core.event_patterns.parser import parse

_decode = msgspec.json.Decoder().decode
_STREETS = ["UNKNOWN", "FITCH", "CRANLEIGH", "MERRIAM", "17TH", "VALENCIA", "MISSION", "GUERRERO", "POLK", "ELLIS"]

OPERATORS = {
    "exact": ['["M"]', '["FITCH", "1430022"]', '["0000036"]', '["even"]', '["V"]'],
    "prefix": [
        '[{"prefix": "AC"}]',
        '[{"prefix": "VAL"}]',
        '[{"prefix": "00"}]',
        '[{"prefix": "b"}]',
        '[{"prefix": "1"}]',
    ],
    "suffix": [
        '[{"suffix": "ON"}]',
        '[{"suffix": "TCH"}]',
        '[{"suffix": "36"}]',
        '[{"suffix": "n"}]',
        '[{"suffix": "022"}]',
    ],
    "equals-ignore-case": [
        '[{"equals-ignore-case": "fitch"}]',
        '[{"equals-ignore-case": "Valencia"}]',
        '[{"equals-ignore-case": "00A"}]',
        '[{"equals-ignore-case": "EVEN"}]',
        '[{"equals-ignore-case": "st"}]',
    ],
    "wildcard": [
        '[{"wildcard": "*ALE*"}]',
        '[{"wildcard": "F*H"}]',
        '[{"wildcard": "*0*3*"}]',
        '[{"wildcard": "e*n"}]',
        '[{"wildcard": "*022"}]',
    ],
    "anything-but": [
        '[{"anything-but": ["FITCH"]}]',
        '[{"anything-but": ["UNKNOWN", "POLK"]}]',
        '[{"anything-but": ["0000036"]}]',
        '[{"anything-but": "even"}]',
        '[{"anything-but": {"prefix": "V"}}]',
    ],
}
_FIELDS = ("STREET", "ST_TYPE", "LOT_NUM", "ODD_EVEN", "MAPBLKLOT")
NUMERIC = [
    '{"geometry": {"coordinates": [{"numeric": ["=", -122.4279]}]}}',
    '{"geometry": {"coordinates": [{"numeric": [">", 37.7, "<", 37.75]}]}}',
    '{"geometry": {"coordinates": [{"numeric": ["<", -122.45]}]}}',
]
COMPLEX_ARRAYS = [
    '{"geometry": {"type": ["Polygon"], "coordinates": [{"numeric": ["=", -122.4279]}]}}',
    '{"geometry": {"coordinates": [{"numeric": [">", 37.7]}]}, "properties": {"ODD_EVEN": ["odd"]}}',
]


def lots(count: int) -> list[bytes]:
    """City lots of a city that does not exist."""
    source = random.Random(7)

    def lot() -> bytes:
        block, number = (
            f"{source.randrange(1, 1500):04}",
            f"{source.randrange(1, 130):03}{source.choice(['', 'A', ''])}",
        )
        x, y = -122.4 - source.random() / 10, 37.7 + source.random() / 10
        ring = [[round(x + source.random() / 1e3, 12), round(y + source.random() / 1e3, 12), 0.0] for _ in range(7)]
        properties = {
            "MAPBLKLOT": block + number,
            "BLKLOT": block + number,
            "BLOCK_NUM": block,
            "LOT_NUM": number,
            "FROM_ST": str(source.randrange(3000)),
            "TO_ST": str(source.randrange(3000)),
            "STREET": source.choice(_STREETS),
            "ST_TYPE": source.choice(["ST", "AVE", None]),
            "ODD_EVEN": source.choice(["E", "O", "even", "odd"]),
        }
        geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
        return json.dumps({"type": "Feature", "properties": properties, "geometry": geometry}).encode()

    return [lot() for _ in range(count)]


def automaton(texts: list[str]) -> PatternAutomaton[int]:
    built: PatternAutomaton[int] = PatternAutomaton()
    for key, text in enumerate(texts):
        built.add(key, parse(text))
    return built


def rate(work: Callable[[Any], object], items: list[Any], rounds: int = 5) -> float:
    """Items a second of CPU time: the best of the rounds, since others share the machine."""
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        for item in items:
            work(item)
        best = min(best, time.process_time() - started)
    return len(items) / best


def order_events(count: int, types: int) -> list[bytes]:
    """Events as EventBridge delivers them, of so many types."""
    envelope = {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "OrderPlaced",
        "source": "my.app",
        "account": "000000000000",
        "time": "2026-03-22T18:43:48Z",
        "region": "us-east-1",
        "resources": ["arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0"],
    }
    orders = random.Random(1)
    return [
        json.dumps(
            envelope | {"detail": {"orderType": f"type-{orders.randrange(types)}", "total": 12.5, "items": 3}}
        ).encode()
        for _ in range(count)
    ]


def exact_patterns() -> None:
    rates = {}
    for count in (1, 10, 100, 1_000, 10_000):
        payloads = order_events(5_000, count)
        events = [_decode(payload) for payload in payloads]
        floor = rate(_decode, payloads)
        texts = [f'{{"source": ["my.app"], "detail": {{"orderType": ["type-{n}"]}}}}' for n in range(count)]
        started = time.process_time()
        built = automaton(texts)
        adding_us = (time.process_time() - started) / count * 1e6
        rates[count] = rate(built.match, events)
        both = rate(lambda payload, built=built: built.match(_decode(payload)), payloads)
        harness.report(
            f"{count} exact patterns, decoded events", rates[count], "events/s", floor=floor, floor_is="decode"
        )
        harness.report(f"{count} exact patterns, with decoding", both, "events/s", floor=floor, floor_is="decode")
        print(f"    adding one pattern: {adding_us:.0f} us", flush=True)
    print(
        f"  cost of an event with 10,000 patterns / with 1: {rates[1] / rates[10_000]:.2f}  promise: below 2",
        flush=True,
    )


def operators() -> None:
    payloads = lots(4_000)
    events = [_decode(payload) for payload in payloads]
    floor = rate(_decode, payloads)
    sets = {
        name: [f'{{"properties": {{"{field}": {values}}}}}' for field, values in zip(_FIELDS, lists, strict=True)]
        for name, lists in OPERATORS.items()
    }
    for name, texts in {**sets, "numeric": NUMERIC, "complex arrays": COMPLEX_ARRAYS}.items():
        built = automaton(texts)
        figure = rate(built.match, events)
        harness.report(f"city lots, {name} ({len(texts)} patterns)", figure, "events/s", floor=floor, floor_is="decode")


def main() -> None:
    harness.heading("Event patterns: events a second of one core")
    exact_patterns()
    operators()


if __name__ == "__main__":
    main()
