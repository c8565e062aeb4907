"""In which of the layouts that a corpus may have a folder is, told by what lies in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dalle.config import LinesError
from dalle.data.sources.captioned_folder import TREE as CAPTIONED_TREE
from dalle.data.sources.captioned_folder import is_captioned_folder
from dalle.data.sources.coco import TREES as COCO_TREES
from dalle.data.sources.coco import is_coco
from dalle.data.sources.cub import TREE as CUB_TREE
from dalle.data.sources.cub import is_cub
from dalle.data.sources.walking import walk
from dalle.data.sources.webdataset import TREE as WEBDATASET_TREE
from dalle.data.sources.webdataset import is_shard


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`sign` says in a few words what it is recognised by, `trees` show all of it for a `{folder}`."""

    name: str
    sign: str
    trees: tuple[str, ...]
    fits: Callable[[Path], bool]


def _has_shards(folder: Path) -> bool:
    """Shards in the folder itself; or in its sub-folders, unless an archive lies among somebody's captioned pictures."""
    if folder.is_dir() and any(map(is_shard, folder.iterdir())):
        return True
    return any(map(is_shard, walk(folder).files)) and not is_captioned_folder(folder)


WEBDATASET = Layout(
    name="WebDataset shards",
    sign="*.tar",
    trees=(WEBDATASET_TREE,),
    fits=_has_shards,
)
COCO = Layout(name="MS-COCO", sign="annotations/captions_*.json", trees=tuple(COCO_TREES.values()), fits=is_coco)
CUB = Layout(name="CUB-200-2011", sign="images.txt and classes.txt", trees=(CUB_TREE,), fits=is_cub)
CAPTIONED = Layout(
    name="captioned folder",
    sign="captions.jsonl, captions.csv or a .txt beside a picture",
    trees=(CAPTIONED_TREE,),
    fits=is_captioned_folder,
)
LAYOUTS: Mapping[str, tuple[Layout, ...]] = {
    "web": (WEBDATASET, CAPTIONED),
    "coco": (COCO, CAPTIONED),
    "cub": (CUB, CAPTIONED),
    "panels": (CAPTIONED,),
}


def fitting_layouts(corpus: str, folder: Path) -> list[Layout]:
    """Those of the corpus's layouts that the folder looks like."""
    return [layout for layout in LAYOUTS[corpus] if layout.fits(folder)]


def find_layout(corpus: str, folder: Path) -> Layout:
    """The one layout that `folder` has of those that the corpus may have; none, or two, is a `ValueError` that shows them."""
    fitting = fitting_layouts(corpus, folder)
    if len(fitting) == 1:
        return fitting[0]
    trees = "\nor\n".join(tree.format(folder=folder) for layout in LAYOUTS[corpus] for tree in layout.trees)
    raise LinesError(f"{folder}: {_what_is_wrong(corpus, folder, fitting)}; expected\n{trees}")


def _what_is_wrong(corpus: str, folder: Path, fitting: list[Layout]) -> str:
    if not folder.is_dir():
        return "no such folder"
    if fitting:
        both = " and ".join(f"{layout.name} ({layout.sign})" for layout in fitting)
        return f"is laid out as {both} at once, of which one must go"
    signs = "; nor ".join(layout.sign for layout in LAYOUTS[corpus])
    return f"has neither {signs}" if "; nor " in signs else f"has no {signs}"
