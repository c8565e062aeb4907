"""The page's section of ablations: what is there is shown, with its verdicts, and what is broken is named."""

import pytest

from dalle.report.ablations import Finding, ablations_section, findings_text, read_ablations
from dalle.report.page import write_page
from dalle.report.sheet import Sheet
from dalle.report.style import save_figure

FINDING = Finding(says="Higher beta | helps", source="sec. 2.1", verdict="held", numbers="0: 50%, 6.6: 71%")


@pytest.fixture
def folder(tmp_path):
    """A comparison without findings, an ablation with one, and a document that nobody has run yet."""
    folder = tmp_path / "reports/ablations"
    for name in ("beta", "dvae", "later"):
        (folder / name).mkdir(parents=True)
    for name in ("beta", "dvae"):
        save_figure(Sheet(80, name, "").figure, folder / name / "figure.png")
    (folder / "beta/README.md").write_text("# Ablation of train\\_dvae.beta.end\n\nwords\n")
    (folder / "dvae/README.md").write_text("# anything\n")
    (folder / "dvae/findings.json").write_text(findings_text("The dVAE", "800 updates; one seed", [FINDING]))
    (folder / "later/ablation.yaml").write_text("title: later\n")
    return folder


def test_figures_links_and_verdicts_are_on_the_page(folder):
    found = read_ablations(folder)
    assert [(entry.title, entry.findings) for entry in found] == [
        ("Ablation of train_dvae.beta.end", ()), ("The dVAE", (FINDING,)),
    ]  # fmt: skip
    page = folder.parent / "README.md"
    write_page(page, "Report", "", [ablations_section(found, page)])
    text = page.read_text()
    assert "| The dVAE | Higher beta \\| helps | sec. 2.1 | held | 0: 50%, 6.6: 71% |" in text
    for name in ("beta", "dvae"):
        assert f'src="ablations/{name}/figure.png"' in text and f"[Its page](ablations/{name}/README.md)" in text
    assert "800 updates; one seed. [Its page]" in text and "later" not in text


def test_without_ablations_there_is_no_section(tmp_path):
    section = ablations_section(read_ablations(tmp_path / "none"), tmp_path / "README.md")
    assert not (section.text or section.tables or section.figures)


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "not JSON"), ("[]", "expected title, subtitle and findings"), (
        '{"title": "", "subtitle": "", "findings": [{"says": "x"}]}', "missing key",
    )],
)  # fmt: skip
def test_findings_that_cannot_be_read_are_named(folder, text, words):
    (folder / "dvae/findings.json").write_text(text)
    with pytest.raises(ValueError, match=f"findings.json: .*{words}"):
        read_ablations(folder)
