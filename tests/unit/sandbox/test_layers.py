from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from lambent.sandbox.layers import LayerFolders, merge_layers
from tests.unit.sandbox.support import Bench, ask


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def make(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_later_layers_win(tmp_path: Path) -> None:
    one = make(tmp_path / "1", {"python/a.py": "1", "python/b/c.py": "1", "bin/x": "1", "was/dir": "1", "wasfile": "1"})
    two = make(tmp_path / "2", {"python/a.py": "2", "python/b/d.py": "2", "was": "2", "wasfile/f": "2"})
    (two / "python/link.py").symlink_to("a.py")
    merge_layers([one, two], tmp_path / "merged" / "x")
    assert tree(tmp_path / "merged" / "x") == {
        "python/a.py": "2",
        "python/b/c.py": "1",
        "python/b/d.py": "2",
        "python/link.py": "2",
        "bin/x": "1",
        "was": "2",
        "wasfile/f": "2",
    }
    assert tree(one)["python/a.py"] == "1"
    assert [path.name for path in (tmp_path / "merged").iterdir()] == ["x"]


async def test_folders_are_made_once(tmp_path: Path) -> None:
    folders = LayerFolders(tmp_path / "layers")
    layers = [make(tmp_path / name, {name: name}) for name in ("a", "b")]
    assert await folders.folder((), []) is None
    assert await folders.folder(("a",), layers[:1]) == layers[0]
    made = await asyncio.gather(*(folders.folder(("a", "b"), layers) for _ in range(5)))
    assert len(set(made)) == 1
    other = await folders.folder(("b", "a"), layers[::-1])
    assert other not in made
    assert len(list((tmp_path / "layers").iterdir())) == 2


@pytest.mark.parametrize("count", [1, 2])
async def test_layers_of_a_function(bench: Bench, count: int) -> None:
    version = f"python3.{sys.version_info[1]}"
    bench.code.add(
        "one",
        {
            "python/inlayer.py": "who = 'layer one'\n",
            f"python/lib/{version}/site-packages/insite.py": "who = 'site'\n",
            "python/h.py": "raise Exception('the package comes first')\n",
            "bin/tool": "#!/bin/sh\necho tool\n",
            "lib/libx.so": "",
        },
    )
    bench.code.add("two", {"python/inlayer.py": "who = 'layer two'\n"})
    source = (
        "import inlayer, insite, os, subprocess\n"
        "def handler(e, c):\n"
        "    libraries = os.environ['LD_LIBRARY_PATH'].split(':')\n"
        "    return [inlayer.who, insite.who, subprocess.check_output(['tool'], text=True),\n"
        "        any(os.path.exists(path + '/libx.so') for path in libraries)]\n"
    )
    environment = await bench.start(source, runtime=version, layers=("one", "two")[:count])
    who = "layer one" if count == 1 else "layer two"
    assert await ask(environment) == (None, [who, "site", "tool\n", True])
