"""Every entry below a folder: a file that a reader may use, or one that is left for a reason with a name."""

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dalle.data.sources.problems import Note
from dalle.data.text_files import escaped, is_utf8

HIDDEN = "hidden"  # begins with a dot, or is what macOS puts into its archives: nobody's data, so no problem
DEAD, READ_ALREADY = "a link that leads nowhere", "a link to a folder that is read already, or that it lies in"
UNLISTED, NOT_UTF8 = "a folder whose entries cannot be listed", "its name is not UTF-8, so it must be renamed"
SPECIAL = "neither a file nor a folder"

Identity = tuple[int, int]  # device and number: what all names of a folder have in common


@dataclass(kw_only=True)
class Tree:
    """What lies below `folder`: `files` that can be read, folder by folder, and by path why an entry was `left`."""

    folder: Path
    files: list[Path] = field(default_factory=list)
    left: dict[Path, str] = field(default_factory=dict)

    def problems(self) -> list[str]:
        """A line for every entry that was left and is not hidden."""
        return [f"{escaped(path)}: {reason}" for path, reason in self.left.items() if reason != HIDDEN]

    def on_disk(self, names: Collection[str]) -> dict[str, str]:
        """By listed name how it is spelt on the disk: accents are one character (NFC) in one place and two (NFD) in another.

        A name that is there letter by letter, or nowhere, stays as it is.
        """
        if all(name.isascii() for name in names):
            return {name: name for name in names}
        there = [path.relative_to(self.folder).as_posix() for path in self.files]
        exact, alike = set(there), {normalized(name): name for name in there}
        return {name: name if name in exact else alike.get(normalized(name), name) for name in names}

    def counts(self, used: Collection[Path]) -> Counter[str]:
        """How many files were used, and how many were left, by reason; each counts once."""
        others = {path: reason for path, reason in self.left.items() if path not in used}
        reasons = Counter(others.values())
        kinds = Counter(path.suffix.lower() or "no extension" for path in self.files if path not in used)
        return Counter({"used": len(used)}) + reasons + Counter({f"not used: {kind}": number for kind, number in kinds.items()})

    def notes(self, used: Collection[Path], named: tuple[str, ...]) -> list[Note]:
        """One line with `counts`, if there is anything that no problem names: files with the endings `named` have their own."""
        unnamed = [path for path in self.files if path not in used and not path.name.lower().endswith(named)]
        if not unnamed and not any(reason == HIDDEN for path, reason in self.left.items() if path not in used):
            return []
        counts = self.counts(used)
        left = "; ".join(f"{reason} ({number})" for reason, number in sorted(counts.items()) if reason != "used")
        return [Note(f"{self.folder}: {counts.total()} files, of which {counts['used']} are used; {left}")]


def walk(folder: Path) -> Tree:
    """All that lies below `folder`: its files first, by name, then its folders; links to folders are followed.

    A folder that can be reached in two ways is read once, under its own name rather than a link's. Where there is no folder
    there is nothing below it.
    """
    tree = Tree(folder=folder)
    if not folder.is_dir():
        return tree
    known = {_identity(parent) for parent in folder.resolve().parents} | set(map(_identity, _own_folders(folder)))
    _walk(folder, False, known, set(), tree)
    return tree


def normalized(name: str) -> str:
    """The name with each accented letter as one character."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _walk(folder: Path, hidden: bool, known: set[Identity], entered: set[Identity], tree: Tree) -> None:
    """`known` are folders that no link has to lead to; the files of a `hidden` folder are counted and nothing more."""
    entries = _entries(folder)
    if entries is None or _identity(folder) in entered:
        tree.left[folder] = HIDDEN if hidden else UNLISTED if entries is None else READ_ALREADY
        return
    entered.add(_identity(folder))
    folders = []
    for entry in entries:
        path, unseen = folder / entry.name, hidden or is_hidden(entry.name)
        kind = _kind(entry)
        if stat.S_ISDIR(kind) and not entry.is_symlink():
            folders.append((path, unseen))
        elif unseen:
            tree.left[path] = HIDDEN
        elif stat.S_ISDIR(kind) and _identity(path) in known | entered:
            tree.left[path] = READ_ALREADY
        elif stat.S_ISDIR(kind):
            known.update(map(_identity, _own_folders(path)))
            folders.append((path, unseen))
        elif not is_utf8(path):
            tree.left[path] = NOT_UTF8
        elif stat.S_ISREG(kind):
            tree.files.append(path)
        else:
            tree.left[path] = SPECIAL if kind else DEAD
    for path, unseen in folders:
        _walk(path, unseen, known, entered, tree)


def _entries(folder: Path) -> list[os.DirEntry] | None:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return None


def _own_folders(folder: Path) -> Iterator[Path]:
    """The folder and those below it that no link leads to."""
    return (Path(parent) for parent, _, _ in os.walk(folder))


def _kind(entry: os.DirEntry) -> int:
    """The type of what the entry is or links to; 0 if it leads nowhere."""
    try:
        return entry.stat().st_mode
    except OSError:
        return 0


def _identity(path: Path) -> Identity:
    state = path.stat()
    return state.st_dev, state.st_ino
