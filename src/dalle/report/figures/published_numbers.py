"""The paper's own scale, on a sheet of its own: published numbers are never drawn on an axis of ours."""

from matplotlib.figure import Figure

from dalle.report.figures.published_panels import BARS_LEFT, BARS_WIDTH, NOT_OURS, bars, fid_curves, read_published
from dalle.report.frames import METRICS
from dalle.report.sheet import HEADER, MARGIN, Sheet
from dalle.report.style import MUTED, NOTE, PALE, styled

PLOT_HEIGHT = 290


@styled
def published_numbers() -> Figure:
    """FID against blur on MS-COCO, Inception score there and FID on CUB, as quoted by later papers."""
    published = read_published()
    coco, cub = published[published["domain"] == "coco"], published[published["domain"] == "cub"]
    num_captions = int(coco["num_samples"].max())
    sheet = Sheet(
        HEADER + 32 + PLOT_HEIGHT + 106,
        "The paper's world: published numbers, not measured here",
        f"DALL-E with 12 billion parameters, best of {int(coco['candidates'].max())} · {num_captions:,} MS-COCO captions · "
        "Inception features as in DM-GAN's code",
        background=PALE,
    )
    left = sheet.plot(MARGIN + 42, HEADER + 32, 400, PLOT_HEIGHT, title="MS-COCO: FID", note=METRICS["fid"].note)
    fid_curves(left, coco[coco["metric"] == "fid"])
    shown = ((coco, "inception_score", "MS-COCO: Inception score"), (cub, "fid", "CUB: FID"))
    for index, (rows, metric, title) in enumerate(shown):
        y = HEADER + 32 + index * (PLOT_HEIGHT + 44) / 2
        note = METRICS[metric].note.split()[0]
        axes = sheet.plot(BARS_LEFT, y, BARS_WIDTH, (PLOT_HEIGHT - 44) / 2 - 6, title=title, note=note)
        bars(axes, rows[(rows["metric"] == metric) & (rows["blur_radius"] == 0)])
    notes = [
        NOT_OURS,
        "MS-COCO: as quoted by CogView (Ding et al. 2021, Table 1), taken to be read off the paper's Fig. 9a. "
        "CUB: as quoted by VQ-Diffusion and by DM-GAN's code.",
        "Dashed: another blur. CogView blurs only the originals; LAFITE's radius is a weaker filter.",
    ]
    sheet.lines(MARGIN, sheet.height - MARGIN - 28, notes, size=NOTE, colour=MUTED)
    return sheet.figure
