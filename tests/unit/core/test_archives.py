from __future__ import annotations

import io
import os
import random
import stat
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambent.core import archives
from lambent.core.archives import ArchiveError, ArchiveReason

Entry = tuple[str, bytes, int]
FILE, EXECUTABLE, LINK, FOLDER = 0o100644, 0o100755, 0o120777, 0o040755


def make(*entries: Entry, method: int = zipfile.ZIP_DEFLATED, system: int = 3) -> bytes:
    """A zip with these (name, content, st_mode) entries, names taken as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content, mode in entries:
            info = zipfile.ZipInfo("placeholder")
            info.filename, info.create_system, info.external_attr = name, system, mode << 16
            info.compress_type = method
            archive.writestr(info, content)
    return buffer.getvalue()


@pytest.fixture
def into(tmp_path: Path) -> Iterator[Path]:
    """An empty folder to unpack into; whatever happened, nothing may have appeared beside it."""
    folder = tmp_path / "outer" / "into"
    folder.mkdir(parents=True)
    yield folder
    assert [path.name for path in tmp_path.iterdir()] == ["outer"]
    assert [path.name for path in folder.parent.iterdir()] == ["into"]


def unpack(data: bytes, into: Path, **bounds: int) -> archives.ExtractedArchive:
    return archives.extract(io.BytesIO(data), into, **bounds)


def refused(data: bytes, into: Path, reason: ArchiveReason, match: str | None = None, **bounds: int) -> None:
    with pytest.raises(ArchiveError, match=match) as error:
        unpack(data, into, **bounds)
    assert error.value.reason is reason
    assert list(into.iterdir()) == []


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_folders_modes_and_counts(into: Path, method: int) -> None:
    umask = os.umask(0o077)
    try:
        result = unpack(
            make(
                ("app.py", b"print()", 0o100600),
                ("bin/run", b"#!", 0o104755),
                ("open", b"x", 0o100666),
                ("empty/", b"", 0o041777),
                ("./a//b/ü.txt", b"deep", FILE),
                ("nothing", b"", FILE),
                method=method,
            ),
            into,
        )
    finally:
        os.umask(umask)
    assert result == archives.ExtractedArchive(size_bytes=14, entries=9)
    assert (into / "app.py").read_bytes() == b"print()"
    assert (into / "a/b/ü.txt").read_bytes() == b"deep"
    assert {str(path.relative_to(into)): mode(path) for path in into.rglob("*")} == {
        "app.py": 0o644,
        "bin": 0o755,
        "bin/run": 0o755,
        "open": 0o644,
        "empty": 0o755,
        "a": 0o755,
        "a/b": 0o755,
        "a/b/ü.txt": 0o644,
        "nothing": 0o644,
    }


def test_an_archive_without_unix_modes_holds_nothing_executable(into: Path) -> None:
    unpack(make(("bootstrap", b"#!", 0), ("lib/", b"", 0), system=0), into)
    assert mode(into / "bootstrap") == 0o644
    assert mode(into / "lib") == 0o755


def test_from_a_path_into_a_descriptor(into: Path, tmp_path: Path) -> None:
    package = tmp_path / "outer" / "package.zip"
    package.write_bytes(make(("f", b"1", FILE)))
    descriptor = os.open(into, os.O_RDONLY)
    try:
        archives.extract(package, descriptor)
        assert os.listdir(descriptor) == ["f"]
        with pytest.raises(ValueError, match="not empty"):
            archives.extract(package, descriptor)
        assert os.listdir(descriptor) == ["f"]
    finally:
        os.close(descriptor)
        package.unlink()


def test_big_content_streams_in_pieces(into: Path) -> None:
    content = random.Random(1).randbytes(3_000_000) + bytes(3_000_000)
    unpack(make(("big", content, FILE)), into)
    assert (into / "big").read_bytes() == content


def test_a_prepended_stub_and_a_comment_are_fine(into: Path) -> None:
    buffer = io.BytesIO(b"#!/bin/sh\n")
    buffer.seek(0, 2)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("f", b"1")
        archive.comment = b"a comment " * 100
    unpack(buffer.getvalue(), into)
    assert (into / "f").read_bytes() == b"1"


def test_zip64(into: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("big", "w", force_zip64=True) as entry:
        entry.write(b"content")
    data = bytearray(buffer.getvalue())
    unpack(bytes(data), into)
    assert (into / "big").read_bytes() == b"content"


def test_zip64_directory(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    data = make(("a", b"1", FILE), ("b", b"2", FILE))
    assert b"PK\6\6" in data
    unpack(data, into)
    assert sorted(path.name for path in into.iterdir()) == ["a", "b"]


def test_an_empty_archive_has_no_entries(into: Path) -> None:
    assert unpack(make(), into).entries == 0


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "a/..",
        "..",
        "/etc/evil",
        "//evil",
        "a\\..\\evil",
        "\\evil",
        "x" * 256,
        "a/" * 101 + "f",
    ],
)
def test_names_that_lead_elsewhere(into: Path, name: str) -> None:
    refused(make(("ok", b"1", FILE), (name, b"evil", FILE)), into, ArchiveReason.UNSAFE)


def test_nul_in_a_name(into: Path) -> None:
    data = make(("a?b", b"1", FILE)).replace(b"a?b", b"a\0b")
    refused(data, into, ArchiveReason.UNSAFE, "NUL")


@pytest.mark.parametrize("name", ["", ".", "./"])
def test_a_file_without_a_name(into: Path, name: str) -> None:
    entry = (name, b"", FILE)
    if name == "./":
        assert unpack(make(entry), into).entries == 0
    else:
        refused(make(entry), into, ArchiveReason.UNSAFE, "no name")


def test_a_name_that_claims_utf8_and_is_not(into: Path) -> None:
    data = make(("é.py", b"1", FILE)).replace("é".encode(), b"\xff\xfe")
    refused(data, into, ArchiveReason.UNSAFE, "UTF-8")


def test_an_old_name_in_code_page_437(into: Path) -> None:
    unpack(make(("__.py", b"1", FILE)).replace(b"__", b"\x82\x83"), into)
    assert [path.name for path in into.iterdir()] == ["éâ.py"]


@pytest.mark.filterwarnings("ignore:Duplicate")
@pytest.mark.parametrize(
    "entries",
    [
        [("a", b"1", FILE), ("a", b"2", FILE)],
        [("a", b"1", FILE), ("./a", b"2", FILE)],
        [("a", b"1", FILE), ("a/b", b"2", FILE)],
        [("a/b", b"1", FILE), ("a", b"2", FILE)],
        [("a", b"1", FILE), ("a/", b"", FOLDER)],
        [("a", b".", LINK), ("a/b", b"2", FILE)],
        [("a/b", b"1", FILE), ("a", b".", LINK)],
        [("a", b"b", LINK), ("a", b"2", FILE)],
        [("a/", b"content", FILE)],
        [("a/", b"b", LINK)],
    ],
)
def test_entries_that_contradict_each_other(into: Path, entries: list[Entry]) -> None:
    refused(make(*entries), into, ArchiveReason.UNSAFE)


@pytest.mark.filterwarnings("ignore:Duplicate")
def test_names_that_differ_only_in_case_are_two(into: Path) -> None:
    unpack(make(("A", b"1", FILE), ("a", b"2", FILE), ("d/", b"", FOLDER), ("d/", b"", FOLDER)), into)
    assert {path.name for path in into.iterdir()} == {"A", "a", "d"}


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK, 0o150000])
def test_devices_pipes_and_sockets(into: Path, kind: int) -> None:
    refused(make(("dev", b"", kind | 0o666)), into, ArchiveReason.UNSAFE, "neither")


@pytest.mark.parametrize(
    ("links", "files"),
    [
        ({"l": "f"}, ["f"]),
        ({"lib/l": "../f"}, ["f"]),
        ({"l": "a/b/../../f"}, ["f", "a/b/g"]),
        ({"l": "missing"}, []),
        ({"current": "v1", "l": "current/f"}, ["v1/f"]),
        ({"deep": "a/b/c", "l": "deep/../x"}, ["a/b/c/f", "a/b/x"]),
        ({"l": "."}, ["f"]),
    ],
)
def test_links_that_stay_inside_are_kept(into: Path, links: dict[str, str], files: list[str]) -> None:
    unpack(make(*((k, v.encode(), LINK) for k, v in links.items()), *((f, b"x", FILE) for f in files)), into)
    for name, target in links.items():
        assert os.readlink(into / name) == target
        assert (into / name).resolve().is_relative_to(into.resolve())


@pytest.mark.parametrize(
    "links",
    [
        {"l": "/etc/passwd"},
        {"l": ".."},
        {"l": "../into/f"},
        {"a/l": "../../f"},
        {"l": "missing/../../f"},
        {"l": "f/../../g"},
        {"here": ".", "l": "here/.."},
        {"d/here": "..", "l": "d/here/../x"},
        {"deep": "a/b", "l": "deep/../../.."},
        {"one": "two", "two": "three", "three": ".", "l": "one/../f"},
        {"a": "b", "b": "a"},
        {"a": "a"},
        {"l": ""},
        {"l": "a\0b"},
        {"l": "x/" * 2100},
    ],
)
def test_links_that_lead_outside_or_nowhere(into: Path, links: dict[str, str]) -> None:
    for order in (list(links.items()), list(links.items())[::-1]):
        data = make(("f", b"x", FILE), ("a_/b", b"x", FILE), *((name, target.encode(), LINK) for name, target in order))
        refused(data, into, ArchiveReason.UNSAFE)


def test_links_that_take_for_ever_to_follow(into: Path) -> None:
    slow = "./" * 2000 + "x"
    chain = [(f"l{n}", (slow[:-1] + f"l{n + 1}").encode(), LINK) for n in range(30)]
    starts = [(f"s{n}", b"l0", LINK) for n in range(100)]
    refused(make(*chain, *starts), into, ArchiveReason.UNSAFE, "too many others")


def test_bombs_are_counted_as_they_unfold(into: Path) -> None:
    bomb = make(("zeros", bytes(5_000_000), FILE))
    refused(bomb, into, ArchiveReason.TOO_LARGE, max_bytes=4_999_999)
    assert unpack(bomb, into, max_bytes=5_000_000).size_bytes == 5_000_000


def test_a_bomb_that_lies_about_its_size(into: Path) -> None:
    honest = make(("zeros", bytes(5_000_000), FILE))
    lying = honest.replace(struct.pack("<L", 5_000_000), struct.pack("<L", 10))
    refused(lying, into, ArchiveReason.DAMAGED, "longer than it says", max_bytes=1000)


def test_overlapping_entries(into: Path) -> None:
    """Two directory records for the same bytes, and one whose bytes reach into the next."""
    data = make(("a", b"1" * 100, FILE))
    end = data.rindex(b"PK\5\6")
    start = data.rindex(b"PK\1\2")
    record = data[start:end]
    tail = bytearray(data[end:])
    struct.pack_into("<2HL", tail, 8, 2, 2, 2 * len(record))
    refused(data[:start] + record + record + tail, into, ArchiveReason.UNSAFE, "overlap")

    stored = bytearray(make(("a", b"1" * 50, FILE), ("b", b"2" * 50, FILE), method=zipfile.ZIP_STORED))
    first = stored.index(b"PK\1\2")
    struct.pack_into("<2L", stored, first + 20, 70, 70)
    refused(bytes(stored), into, ArchiveReason.UNSAFE, "overlaps with what follows")


def test_too_many_entries(into: Path) -> None:
    three = make(("a", b"", FILE), ("b", b"", FILE), ("c", b"", FILE))
    refused(three, into, ArchiveReason.TOO_MANY_ENTRIES, max_entries=2)
    assert unpack(three, into, max_entries=3).entries == 3


def test_folders_that_names_imply_count_too(into: Path) -> None:
    refused(make(("a/b/c/d/e", b"", FILE)), into, ArchiveReason.TOO_MANY_ENTRIES, max_entries=4)


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all" * 10, b"\x1f\x8b" + bytes(100), b"PK\5\6"])
def test_not_a_zip(into: Path, data: bytes) -> None:
    refused(data, into, ArchiveReason.NOT_A_ZIP)


def test_encrypted_and_exotic_compression(into: Path) -> None:
    data = bytearray(make(("a", b"1", FILE)))
    data[data.index(b"PK\1\2") + 8] |= 1
    refused(bytes(data), into, ArchiveReason.UNSUPPORTED, "encrypted")
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        refused(make(("a", b"1", FILE), method=method), into, ArchiveReason.UNSUPPORTED, "deflated")


def test_wrong_checksum(into: Path) -> None:
    data = make(("a", b"right", FILE), ("b", b"hello", FILE), method=zipfile.ZIP_STORED)
    refused(data.replace(b"hello", b"hallo"), into, ArchiveReason.DAMAGED, "checksum")


def test_every_truncation_is_refused(into: Path) -> None:
    data = make(("a/b", b"some text " * 20, FILE), ("c", b"x", EXECUTABLE))
    for size in range(len(data)):
        with pytest.raises(ArchiveError) as error:
            unpack(data[:size], into)
        assert error.value.reason in (ArchiveReason.DAMAGED, ArchiveReason.NOT_A_ZIP)
        assert list(into.iterdir()) == []


def test_deflate_streams_that_end_early_or_late(into: Path) -> None:
    content = os.urandom(500)
    for broken in (_deflate(content)[:-5], _deflate(content) + b"more", b"\xff" * 20):
        refused(_wrap(content, broken), into, ArchiveReason.DAMAGED)
    unpack(_wrap(content, _deflate(content)), into)
    assert (into / "f").read_bytes() == content


def _deflate(content: bytes) -> bytes:
    deflator = zlib.compressobj(wbits=-15)
    return deflator.compress(content) + deflator.flush()


def _wrap(content: bytes, packed: bytes) -> bytes:
    """A zip with one file `f` whose packed bytes are `packed`."""
    shared = struct.pack("<5H3L2H", 20, 0, 8, 0, 0, zlib.crc32(content), len(packed), len(content), 1, 0)
    local = b"PK\3\4" + shared + b"f" + packed
    central = b"PK\1\2" + struct.pack("<H", 20) + shared + struct.pack("<3H2L", 0, 0, 0, 0, 0) + b"f"
    return local + central + b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 1, 1, len(central), len(local), 0)


def test_a_failing_disk_leaves_nothing(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        unpack(make(("a/b", b"1", FILE)), into)
    assert list(into.iterdir()) == []


PARTS = st.sampled_from(["a", "b", "..", ".", "", "c\\d", "ü"])
NAMES = st.lists(PARTS, max_size=5).map("/".join)
ENTRIES = st.lists(
    st.one_of(
        st.tuples(NAMES, st.binary(max_size=20), st.sampled_from([FILE, EXECUTABLE, 0, FOLDER])),
        st.tuples(NAMES, NAMES.map(str.encode), st.just(LINK)),
    ),
    max_size=8,
)


@pytest.mark.filterwarnings("ignore:Duplicate")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=ENTRIES)
def test_whatever_the_names_nothing_escapes(tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]) -> None:
    outer = tmp_path_factory.mktemp("outer")
    into = outer / "x" / "into"
    into.mkdir(parents=True)
    try:
        unpack(make(*entries), into)
    except ArchiveError:
        assert list(into.iterdir()) == []
    assert [path.name for path in outer.iterdir()] == ["x"]
    assert [path.name for path in into.parent.iterdir()] == ["into"]
    for path in into.rglob("*"):
        assert path.resolve().is_relative_to(into.resolve())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
def test_whatever_byte_is_wrong_the_answer_is_an_archive_error(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    into = tmp_path_factory.mktemp("into")
    data = bytearray(make(("a/b", b"text" * 30, FILE), ("c", b"a/b", LINK), ("d", b"x" * 50, FILE)))
    data[position % len(data)] = value
    try:
        unpack(bytes(data), into)
    except ArchiveError:
        assert list(into.iterdir()) == []


if sys.platform == "linux":

    def test_no_descriptor_is_left_open(into: Path) -> None:
        before = len(os.listdir("/proc/self/fd"))
        unpack(make(("a/b/c", b"1", FILE)), into)
        with pytest.raises(ValueError, match="not empty"):
            unpack(make(("x", b"1", FILE)), into)
        assert len(os.listdir("/proc/self/fd")) == before
