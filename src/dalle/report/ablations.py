"""What `dalle ablate` and `dalle compare` left in reports/ablations, for the report's page."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dalle.config import ConfigError, from_mapping
from dalle.report.page import Markdown, PageFigure, Section, Table, escape

FINDINGS, FIGURE, PAGE = "findings.json", "figure.png", "README.md"
HEADER = ("ablation", "sentence", "source", "here", "numbers")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A sentence of the paper, whether it held, and the numbers that this rests on."""

    says: str
    source: str
    verdict: str
    numbers: str


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """One folder; a comparison without sentences has no findings."""

    folder: Path
    title: str
    subtitle: str
    findings: tuple[Finding, ...]


def findings_text(title: str, subtitle: str, findings: Sequence[Finding]) -> str:
    content = {"title": title, "subtitle": subtitle, "findings": [asdict(finding) for finding in findings]}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def read_ablations(folder: Path) -> list[Ablation]:
    """The ablations in the folders of `folder` that have a page, by name."""
    return [_read(page.parent) for page in sorted(folder.glob(f"*/{PAGE}"))]


def ablations_section(ablations: Sequence[Ablation], page: Path) -> Section:
    """Every figure with a link to its own page, and the verdicts of all above them."""
    rows = [
        (ablation.title, finding.says, finding.source, finding.verdict, finding.numbers)
        for ablation in ablations
        for finding in ablation.findings
    ]
    figures = [_figure(ablation, page) for ablation in ablations if (ablation.folder / FIGURE).is_file()]
    return Section(title="Ablations", tables=[Table(header=HEADER, rows=rows)] if rows else [], figures=figures)


def findings_table(findings: Sequence[Finding]) -> Table:
    return Table(header=HEADER[1:], rows=[(entry.says, entry.source, entry.verdict, entry.numbers) for entry in findings])


def _read(folder: Path) -> Ablation:
    file = folder / FINDINGS
    if not file.is_file():
        return Ablation(folder=folder, title=_heading(folder / PAGE), subtitle="", findings=())
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{file}: not JSON: {error}") from None
    if not isinstance(content, Mapping) or set(content) != {"title", "subtitle", "findings"}:
        raise ConfigError(f"{file}: expected title, subtitle and findings; 'dalle ablate {folder}' writes it anew")
    findings = tuple(from_mapping(Finding, entry, f"{file}: findings") for entry in content["findings"])
    return Ablation(folder=folder, title=content["title"], subtitle=content["subtitle"], findings=findings)


def _heading(page: Path) -> str:
    """The title of a page, without the marks that kept its letters from being Markdown."""
    first = page.read_text(encoding="utf-8").splitlines()[:1]
    return re.sub(r"\\(.)", r"\1", "".join(first).lstrip("# ")) or page.parent.name


def _figure(ablation: Ablation, page: Path) -> PageFigure:
    link = (ablation.folder / PAGE).relative_to(page.parent).as_posix()
    words = [escape(f"{ablation.subtitle.rstrip('.')}.")] if ablation.subtitle else []
    caption = Markdown(" ".join([*words, f"[Its page]({link}) has the table and says how it was made."]))
    return PageFigure(file=ablation.folder / FIGURE, title=ablation.title, caption=caption, origin=None)
