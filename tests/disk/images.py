"""What a disk may hold after the power went: file images rebuilt from a trace, with what was never synced dropped or torn.

The model is what POSIX promises and no more. A file's content is safe up to its last `fsync`; each write after that may be
there, missing, or torn at any sector or byte, whatever became of the writes around it. A name (create, link, rename, unlink,
mkdir) is safe once its folder was synced; before that the folder may hold any earlier state of it. Files fare independently,
which is how writes come to be reordered between them. SQLite's shared memory (`-shm`) is no durable file: it may be gone,
stale or garbage. Standard library only.
"""

from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from shutil import rmtree
from typing import Any, TypeVar

T = TypeVar("T")
SECTOR = 512
SHARED_MEMORY = "-shm"
OURS_ONLY, OWN_FILE = 0o700, 0o600


@dataclass(slots=True, kw_only=True)
class File:
    """A file: what it holds, what of it is safe, and what happened since."""

    held: bytearray = field(default_factory=bytearray)
    safe: bytes = b""
    since: list[tuple[int, bytes | None]] = field(default_factory=list)  # (offset, data), or (size, None): truncated

    def change(self, at: int, data: bytes | None) -> None:
        _apply(self.held, at, data, b"")
        self.since.append((at, data))

    def sync(self) -> None:
        self.safe = bytes(self.held)
        self.since.clear()

    def drawn(self, chance: Random) -> bytes:
        """One of the contents it may have after the cut."""
        kept = _kept(self.since, chance)
        found = bytearray(self.safe)
        torn = chance.random() < 0.6
        for at, data in kept:
            filler = chance.randbytes(16) if chance.random() < 0.3 else b""
            for place, piece in _pieces(at, data, chance) if torn and data else ((at, data),):
                _apply(found, place, piece, filler)
        return bytes(found)


@dataclass(slots=True, kw_only=True)
class Folder:
    """A folder: its names now, those that are safe, and what happened to them since."""

    names: dict[str, "File | Folder"] = field(default_factory=dict)
    safe: dict[str, "File | Folder"] = field(default_factory=dict)
    since: list[tuple[str, str, "File | Folder | None"]] = field(default_factory=list)

    def put(self, name: str, what: "File | Folder") -> None:
        self.names[name] = what
        self.since.append(("put", name, what))

    def drop(self, name: str) -> None:
        self.names.pop(name, None)
        self.since.append(("drop", name, None))

    def move(self, name: str, to: str) -> None:
        what = self.names.pop(name)
        self.names[to] = what
        self.since.append((f"move {name}", to, what))

    def sync(self) -> None:
        self.safe = dict(self.names)
        self.since.clear()

    def drawn(self, chance: Random) -> dict[str, "File | Folder"]:
        """One of the sets of names it may have after the cut: changes in order up to some moment, mostly."""
        found = dict(self.safe)
        for does, name, what in _kept(self.since, chance):
            if does.startswith("move "):
                found.pop(does.removeprefix("move "), None)
            if what is None:
                found.pop(name, None)
            else:
                found[name] = what
        return found


class Disk:
    """One folder's history, replayed from a trace; `syncs` False forgets every sync, as a disk that lies about them."""

    def __init__(self, events: Iterable[Mapping[str, Any]], *, syncs: bool = True) -> None:
        self.root = Folder()
        self._files: dict[int, File] = {}
        for event in events:
            self._replay(event, syncs)

    def _replay(self, event: Mapping[str, Any], syncs: bool) -> None:
        match event["op"]:
            case "mkdir":
                above, name = self._above(event["path"])
                above.put(name, Folder())
            case "create":
                self._files[event["ino"]] = made = File()
                above, name = self._above(event["path"])
                above.put(name, made)
            case "write":
                self._files[event["ino"]].change(event["off"], b64decode(event["data"]))
            case "trunc":
                self._files[event["ino"]].change(event["size"], None)
            case "sync" if syncs:
                known = self._folder(event["path"])
                if known is not None:
                    known.sync()
                elif event["ino"] in self._files:
                    self._files[event["ino"]].sync()
            case "link":
                above, name = self._above(event["to"])
                source, old = self._above(event["path"])
                above.put(name, source.names[old])
            case "rename":
                above, name = self._above(event["to"])
                above.move(event["path"].rsplit("/", 1)[-1], name)
            case "unlink":
                above, name = self._above(event["path"])
                above.drop(name)

    def _above(self, path: str) -> tuple[Folder, str]:
        *folders, name = path.split("/")
        found = self._folder("/".join(folders) or ".")
        if found is None:
            raise LookupError(f"the trace names {path} in a folder it never made")
        return found, name

    def _folder(self, path: str) -> Folder | None:
        found: File | Folder | None = self.root
        for name in path.split("/") if path != "." else ():
            found = found.names.get(name) if isinstance(found, Folder) else None
        return found if isinstance(found, Folder) else None

    # --- images ------------------------------------------------------------------------------------------------

    def whole(self) -> dict[str, bytes]:
        """Everything as the processes saw it: what the real folder must hold, or the trace missed something."""
        return _flat(self.root)

    def image(self, chance: Random, folder: Path) -> None:
        """`folder` holds what may be left after the cut."""
        rmtree(folder, ignore_errors=True)
        _write(self.root, folder, chance)


def real(folder: Path) -> dict[str, bytes]:
    """The files below `folder` as they are, without shared memory and without the exchange's."""
    return {
        str(each.relative_to(folder)): each.read_bytes()
        for each in sorted(folder.rglob("*"))
        if each.is_file() and not each.name.endswith(SHARED_MEMORY) and ".exchange" not in each.parts
    }


def _flat(folder: Folder, below: str = "") -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, what in folder.names.items():
        if isinstance(what, Folder):
            found |= _flat(what, f"{below}{name}/")
        elif not name.endswith(SHARED_MEMORY):
            found[below + name] = bytes(what.held)
    return found


def _write(folder: Folder, at: Path, chance: Random) -> None:
    at.mkdir(mode=OURS_ONLY, parents=True, exist_ok=True)
    for name, what in sorted(folder.drawn(chance).items()):
        if isinstance(what, Folder):
            _write(what, at / name, chance)
            continue
        if name.endswith(SHARED_MEMORY):
            left = chance.choice((None, b"", bytes(what.held), chance.randbytes(32768)))
        else:
            left = what.drawn(chance)
        if left is not None:
            (at / name).touch(OWN_FILE)
            (at / name).write_bytes(left)


def _kept(changes: list[T], chance: Random) -> list[T]:
    """Which changes reached the disk: none, all, those before some moment, or any of them."""
    match chance.randrange(4):
        case 0:
            return []
        case 1:
            return list(changes)
        case 2:
            return changes[: chance.randrange(len(changes) + 1)]
        case _:
            return [each for each in changes if chance.random() < 0.5]


def _pieces(at: int, data: bytes, chance: Random) -> list[tuple[int, bytes]]:
    """The parts of one write that arrived: some of its sectors, or its beginning up to any byte."""
    if chance.random() < 0.3:
        return [(at, data[: chance.randrange(len(data) + 1)])]
    found = []
    start = 0
    while start < len(data):
        end = min(len(data), start + SECTOR - (at + start) % SECTOR)
        if chance.random() < 0.6:
            found.append((at + start, data[start:end]))
        start = end
    return found


def _apply(held: bytearray, at: int, data: bytes | None, filler: bytes) -> None:
    """A write or a truncation; what lies between the old end and the write is zeros, or whatever was on the disk before."""
    if data is None:
        del held[at:]
        held.extend(bytes(at - len(held)))
        return
    if not data:
        return
    gap = at - len(held)
    if gap > 0:
        held.extend((filler * (gap // len(filler) + 1))[:gap] if filler else bytes(gap))
    held[at : at + len(data)] = data
