"""Layers as one folder: what a function finds at /opt.

Layers are merged in order, a later one over an earlier one (AWS documentation, "Adding layers to functions"). Without
mounts the merged folder is a farm of hard links somewhere on the machine: Python's path, PATH and LD_LIBRARY_PATH lead
there, but *the absolute path /opt itself does not exist* in process mode. The sandbox mounts it, which is why the links
are hard ones: symbolic links would lead out of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from lambent.core import ids


def merge_layers(layers: Sequence[Path], target: Path) -> None:
    """Make `target` a folder of hard links to the files of all `layers`. Blocks; atomic: `target` appears complete."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{ids.new_hex()}")
    partial.mkdir()
    partial.chmod(0o755)  # whatever the umask: environments run as another user
    try:
        for layer in layers:
            _link_into(layer, partial)
        try:
            partial.rename(target)
        except OSError:
            # Another environment with the same layers was quicker.
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _link_into(source: Path, target: Path) -> None:
    with os.scandir(source) as entries:
        for entry in entries:
            place = target / entry.name
            if entry.is_dir(follow_symlinks=False):
                if place.is_symlink() or place.is_file():
                    place.unlink()
                place.mkdir(exist_ok=True)
                place.chmod(0o755)
                _link_into(Path(entry.path), place)
                continue
            if place.is_symlink() or place.is_file():
                place.unlink()
            elif place.is_dir():
                shutil.rmtree(place)
            if entry.is_symlink():
                # Links inside a layer are kept as they are: most are relative, and their targets are merged too.
                place.symlink_to(os.readlink(entry.path))
            else:
                _link_file(entry.path, place)


def _link_file(source: str, target: Path) -> None:
    """One file under two names; a copy where the file system does not do that."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


class LayerFolders:
    """Merged folders, kept by the hashes of the layers in them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made: dict[tuple[str, ...], Path] = {}
        self._lock = asyncio.Lock()

    async def folder(self, hashes: tuple[str, ...], layers: Sequence[Path]) -> Path | None:
        """The folder that stands for /opt; None without layers. A single layer is its own folder."""
        if not hashes:
            return None
        if len(layers) == 1:
            return layers[0]
        made = self._made.get(hashes)
        if made is None:
            made = self._root / hashlib.sha256("\n".join(hashes).encode()).hexdigest()
            async with self._lock:
                await asyncio.to_thread(merge_layers, layers, made)
            self._made[hashes] = made
        return made
