"""A figure laid out like a page: in page pixels from the top left corner, so that nothing moves by itself."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

from dalle.report.lettering import drawable, line_height
from dalle.report.style import DEVICE_SCALE, HEADING, INK, LABEL, MUTED, PIXELS_PER_INCH, SUBTITLE, TITLE, WIDTH, points

MARGIN = 16  # page pixels kept free on every side
HEADER = 72  # what a title with its line below takes from the top


class Sheet:
    """`width` page pixels wide and `height` high, under a title and a line that says what is shown and over what."""

    def __init__(
        self,
        height: float,
        title: str,
        subtitle: str,
        *,
        background: str = "white",
        width: float = WIDTH,
        corner: tuple[float, float] = (MARGIN, MARGIN),
    ) -> None:
        self.width, self.height = width, int(np.ceil(height))
        inches = width / PIXELS_PER_INCH, self.height / PIXELS_PER_INCH
        self.figure = Figure(figsize=inches, dpi=PIXELS_PER_INCH * DEVICE_SCALE, facecolor=background)
        FigureCanvasAgg(self.figure)
        self.canvas = self.figure.add_axes((0, 0, 1, 1), zorder=-1)
        self.canvas.set(xlim=(0, width), ylim=(self.height, 0))
        self.canvas.set_axis_off()
        left, top = corner
        self.text(left, top + 6, title, size=TITLE, weight="bold", vertical="top")
        self.text(left, top + 29, subtitle, size=SUBTITLE, colour=MUTED, vertical="top")

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = LABEL,
        colour: str = INK,
        weight: str = "normal",
        align: str = "left",
        vertical: str = "baseline",
    ) -> None:
        self.canvas.text(
            x, y, drawable(text), size=points(size), color=colour, weight=weight, ha=align, va=vertical, parse_math=False
        )

    def lines(self, x: float, y: float, lines: list[str], *, size: float = LABEL, **options) -> float:
        """Write lines downwards from a first baseline at `y`; returns the baseline after the last."""
        for line in lines:
            self.text(x, y, line, size=size, **options)
            y += line_height(size)
        return y

    def picture(self, image: np.ndarray, x: float, y: float, width: float, height: float | None = None) -> None:
        """Show a uint8 (H, W, 3) image on exact device pixels inside a hairline frame."""
        height = width if height is None else height
        check_image(image)
        size = round(width * DEVICE_SCALE), round(height * DEVICE_SCALE)
        enlarged = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
        self.block(enlarged, x, y, width, height)
        self.frame(x, y, width, height)

    def block(
        self, pixels: np.ndarray, x: float, y: float, width: float, height: float, *, interpolation: str = "nearest"
    ) -> None:
        """Show pixels as squares, unsmoothed; `interpolation` none leaves them as they are to the reader of a PDF."""
        artist = AxesImage(self.canvas, extent=(x, x + width, y + height, y), origin="upper", interpolation=interpolation)
        artist.set_data(pixels)
        self.canvas.add_image(artist)

    def frame(self, x: float, y: float, width: float, height: float) -> None:
        hairline = 1 / DEVICE_SCALE
        self.canvas.add_patch(
            Rectangle(
                (x + hairline / 2, y + hairline / 2),
                width - hairline,
                height - hairline,
                fill=False,
                edgecolor=(0.12, 0.14, 0.16, 0.22),
                linewidth=points(hairline),
                zorder=3,
                snap=False,  # snapped, two of the four sides would fall outside
            )
        )

    def box(self, x: float, y: float, width: float, height: float, colour, **options) -> None:
        self.canvas.add_patch(Rectangle((x, y), width, height, facecolor=colour, linewidth=0, **options))

    def rule(self, x: float, y: float, width: float, colour: str, thickness: float = 1) -> None:
        self.canvas.add_line(Line2D([x, x + width], [y, y], color=colour, linewidth=points(thickness), solid_capstyle="butt"))

    def plot(self, x: float, y: float, width: float, height: float, *, title: str = "", note: str = "") -> Axes:
        """Axes for data at this place, headed by a bold title with a muted note behind it."""
        axes = self.figure.add_axes((x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height))
        axes.patch.set_visible(False)
        if title:
            heading = axes.annotate(
                title, (0, 1), (0, points(12)), xycoords="axes fraction", textcoords="offset points",
                size=points(HEADING), weight="bold", va="baseline",
            )  # fmt: skip
            axes.annotate(
                note, (1, 0), (points(7), 0), xycoords=heading, textcoords="offset points",
                size=points(LABEL), color=MUTED, va="bottom",
            )  # fmt: skip
        return axes


def check_image(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"figures show uint8 images (H, W, 3), got {image.dtype} {image.shape}")


def check_images(images: np.ndarray, name: str, num_images: int) -> None:
    """Raise a ValueError that names the argument unless `images` is uint8 (num_images, H, W, 3)."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(f"{name}: expected uint8 images (N, H, W, 3), got {images.dtype} {images.shape}")
    if len(images) != num_images:
        raise ValueError(f"{name}: expected {num_images} images, got {len(images)}")
