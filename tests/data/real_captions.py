"""Captions that others wrote, in many languages, fetched from public registries and never shipped."""

import json
import subprocess
import tarfile
from pathlib import Path

EMOJI = "cldr-annotations-full@48.2.0"  # npm, 7 MB: Unicode CLDR, Unicode License v3
CLIP_ART = "tuxpaint-stamps-default"  # Debian, 161 MB: the stamps of Tux Paint, GPL-2
MINUTES = 5  # before a registry that does not answer is given up

# in Latin letters; af, cy, et, eu, ga, gl and sq have no list in wordfreq
LATIN = set("af ca cs cy da de es et eu fi fil fr ga gl hr hu id is it lt lv ms nb nl nn no pl pt ro sk sl sq sv tr vi".split())
OTHER_SCRIPTS = set("ar el he hi hy ja ka km ko ru th uk zh zh_CN zh_TW".split())

Captions = dict[str, list[str]]  # of each language


class NotFetched(Exception):
    """The registry, or the program that asks it, is not to be had."""


def emoji_names(folder: Path) -> tuple[Captions, Captions]:
    """Names of emoji with their keywords, `door, objects`: of those with an even code point, and of the others."""
    _run(["npm", "pack", "--silent", EMOJI], folder)
    halves: tuple[Captions, Captions] = {}, {}
    with tarfile.open(next(folder.glob("cldr-*.tgz"))) as package:
        for member in package:
            _, *names = member.name.split("/")
            if len(names) == 3 and names[1] in LATIN | OTHER_SCRIPTS | {"en"}:
                annotations = json.load(package.extractfile(member))["annotations"].get("annotations", {})
                for emoji, words in annotations.items():
                    caption = ", ".join(dict.fromkeys([*words.get("tts", []), *words.get("default", [])]))
                    halves[ord(emoji[0]) % 2].setdefault(names[1], []).append(caption)
    return halves


def clip_art(folder: Path) -> Captions:
    """Descriptions of clip art: the first line is English, then a line `da.utf8=...` for each translation."""
    _run(["apt-get", "download", CLIP_ART], folder)
    captions: dict[str, dict[str, None]] = {}
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", next(folder.glob("tuxpaint-*.deb"))], stdout=subprocess.PIPE
    ) as unpacked, tarfile.open(fileobj=unpacked.stdout, mode="r|") as package:
        for member in package:
            if member.isfile() and "/stamps/" in member.name and member.name.endswith(".txt"):
                english, *others = package.extractfile(member).read().decode().splitlines() or [""]
                for line in [f"en.utf8={english}", *others]:
                    language, is_text, caption = line.partition(".utf8=")
                    if is_text and caption.strip() and language in LATIN | OTHER_SCRIPTS | {"en"}:
                        captions.setdefault(language, {})[caption.strip()] = None
    return {language: list(of_language) for language, of_language in captions.items()}


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=60 * MINUTES)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise NotFetched(f"{' '.join(command)}: {said[-1] if said else error}") from None
