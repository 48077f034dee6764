"""Pictures of tracks: boxes and trails on a blank canvas or on the frames of the video."""

import colorsys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from seqmamba.datasets.boxes.table import BOX, NO_ID
from seqmamba.errors import ConfigError, DataError, MissingPackageError

__all__ = ["Movie", "colour", "movie"]

PAPER, UNTRACKED, TEXT = (250, 250, 248), (150, 150, 150), (40, 40, 40)
RULE = (200, 200, 196)  # line between two panels
TITLE_PX, LABEL_PX = 16, 12
GOLDEN = 0.618033988749895  # steps of the golden ratio keep the hues of near ids apart


@dataclass(frozen=True)
class Movie:
    """Boxes to be drawn; nothing is drawn before :meth:`save`.

    Parameters
    ----------
    panels : tuple of (title, DataFrame)
        Tables ``frame, track_id, x1, y1, x2, y2``, drawn side by side.
    size : (int, int) or None
        Of the image in pixels; None = what the boxes need.
    frames : path or None
        Folder of images, in the order of their names, or a video (needs OpenCV), as background.
    trail : int
        Frames that a trail shows.
    scale : float
        Pixels of the picture per pixel of the video.
    fps : float
    """

    panels: tuple[tuple[str, pl.DataFrame], ...]
    size: tuple[int, int] | None = None
    frames: Path | None = None
    trail: int = 30
    scale: float = 0.5
    fps: float = 25.0

    def save(self, path: str | Path) -> Path:
        """Write ``.gif``, ``.png`` (the last frame) or ``.mp4`` (needs OpenCV)."""
        path = Path(path)
        pictures = self.pictures(last_only=path.suffix == ".png")
        if path.suffix == ".png":
            pictures[-1].save(path)
        elif path.suffix == ".gif":
            paletted = [p.quantize(64) for p in pictures]
            paletted[0].save(
                path,
                save_all=True,
                append_images=paletted[1:],
                loop=0,
                duration=round(1000 / self.fps),
            )
        elif path.suffix == ".mp4":
            _write_video(path, pictures, self.fps)
        else:
            raise ConfigError(f"cannot draw {path.name}: the suffix must be .gif, .png or .mp4")
        return path

    def pictures(self, *, last_only: bool = False) -> list[Any]:
        """Return the pillow images of all frames."""
        Image, _, _ = _pillow()
        numbers = np.unique(np.concatenate([t["frame"].to_numpy() for _, t in self.panels]))
        if not len(numbers):
            raise DataError("there are no boxes to draw")
        backgrounds = _backgrounds(self.frames, int(numbers[-1]))
        width, height = self._canvas()
        drawn = []
        for number in numbers[-1:] if last_only else range(numbers[0], numbers[-1] + 1):
            sheet = Image.new("RGB", (width * len(self.panels), height), PAPER)
            for i, (title, table) in enumerate(self.panels):
                background = backgrounds.get(int(number))
                panel = self._panel(table, int(number), title, (width, height), background)
                sheet.paste(panel, (i * width, 0))
                if i:
                    sheet.paste(RULE, (i * width - 1, 0, i * width + 1, height))
            drawn.append(sheet)
        return drawn

    def _canvas(self) -> tuple[int, int]:
        if self.size is not None:
            width, height = self.size
        else:
            far = [t.select("x2", "y2").to_numpy().max(axis=0) for _, t in self.panels]
            width, height = np.max(far, axis=0)
        return max(round(width * self.scale), 1), max(round(height * self.scale), 1)

    def _panel(
        self, table: pl.DataFrame, number: int, title: str, size: tuple[int, int], background: Any
    ) -> Any:
        Image, ImageDraw, ImageFont = _pillow()
        label, heading = (ImageFont.load_default(size) for size in (LABEL_PX, TITLE_PX))
        if background is None:
            panel = Image.new("RGB", size, PAPER)
        else:
            picture = Image.open(background) if isinstance(background, Path) else background
            panel = picture.convert("RGB").resize(size)
        draw = ImageDraw.Draw(panel)
        recent = table.filter(pl.col("frame").is_between(number - self.trail, number))
        for (track,), part in recent.sort("frame").group_by("track_id", maintain_order=True):
            if track == NO_ID:
                continue
            foot = part.select((pl.col("x1") + pl.col("x2")) / 2, "y2").to_numpy() * self.scale
            if len(foot) > 1:
                draw.line([tuple(p) for p in foot.tolist()], fill=colour(int(str(track))), width=2)
        now = table.filter(pl.col("frame") == number)
        for row in now.iter_rows(named=True):
            shade = UNTRACKED if row["track_id"] == NO_ID else colour(row["track_id"])
            x1, y1, x2, y2 = (row[name] * self.scale for name in BOX)
            draw.rectangle([x1, y1, x2, y2], outline=shade, width=2)
            if row["track_id"] != NO_ID:
                _tag(draw, (x1, y1), str(row["track_id"]), shade, label)
        draw.text((8, 5), f"{title}  frame {number}".strip(), fill=TEXT, font=heading)
        return panel


def movie(
    table: pl.DataFrame,
    images: str | None = None,
    sequence: str | None = None,
    first: int = 1,
    last: int | None = None,
    scale: float = 0.5,
) -> Movie:
    """Return the movie of one video; see :meth:`seqmamba.MotionPredictor.render`."""
    known = table["sequence"].unique(maintain_order=True).to_list()
    chosen = known[0] if sequence is None else sequence
    if chosen not in known:
        raise ConfigError(f"no sequence {chosen!r}; known: {', '.join(known)}")
    part = table.filter((pl.col("sequence") == chosen) & (pl.col("frame") >= first))
    if last is not None:
        part = part.filter(pl.col("frame") <= last)
    return Movie(
        panels=((chosen, part),), frames=None if images is None else Path(images), scale=scale
    )


def colour(track_id: int) -> tuple[int, int, int]:
    """Return the colour of an id: the same in every picture."""
    red, green, blue = colorsys.hsv_to_rgb((track_id * GOLDEN) % 1.0, 0.85, 0.8)
    return round(255 * red), round(255 * green), round(255 * blue)


def _tag(draw: Any, corner: tuple[float, float], text: str, shade: Any, font: Any) -> None:
    """Write an id in white on its colour, over the upper left corner of a box."""
    left, _, right, bottom = draw.textbbox(corner, text, font=font)
    height = bottom - corner[1] + 3
    draw.rectangle([left - 1, corner[1] - height, right + 3, corner[1]], fill=shade)
    draw.text((corner[0] + 1, corner[1] - height), text, fill=(255, 255, 255), font=font)


def _backgrounds(source: Path | None, last: int) -> Mapping[int, Any]:
    """Return files or images by frame number, from 1."""
    if source is None:
        return {}
    if not source.exists():
        raise FileNotFoundError(f"no folder of images or video {source}")
    if source.is_file():
        return dict(enumerate(_video_frames(source, last), 1))
    found = sorted(f for f in source.iterdir() if f.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not found:
        raise DataError(f"{source} holds no .jpg or .png images", where=str(source))
    return dict(enumerate(found, 1))


def _video_frames(path: Path, last: int) -> Iterator[Any]:
    """Give the first ``last`` images of a video."""
    cv2 = _opencv(path)
    Image, _, _ = _pillow()
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise DataError(f"{path} is no video that OpenCV can read", where=str(path))
    for _ in range(last):
        good, pixels = video.read()
        if not good:
            break
        yield Image.fromarray(pixels[:, :, ::-1])  # OpenCV holds blue first
    video.release()


def _pillow() -> tuple[Any, Any, Any]:
    try:  # pillow comes with the plots
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise MissingPackageError(
            'pictures of tracks need pillow: pip install "seqmamba[plots]".'
        ) from error
    return Image, ImageDraw, ImageFont


def _opencv(path: Path) -> Any:
    try:  # a large package that only videos need
        import cv2  # type: ignore[import-not-found,unused-ignore]  # optional, untyped
    except ImportError as error:
        raise MissingPackageError(
            f"{path.name} needs OpenCV: pip install opencv-python-headless, or use images."
        ) from error
    return cv2


def _write_video(path: Path, pictures: list[Any], fps: float) -> None:
    cv2 = _opencv(path)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, pictures[0].size)
    for picture in pictures:
        writer.write(np.asarray(picture)[:, :, ::-1].copy())
    writer.release()
