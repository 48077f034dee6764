"""Pictures of tracks."""

from pathlib import Path

import polars as pl
import pytest

from seqmamba.datasets import simulate
from seqmamba.errors import ConfigError, DataError
from seqmamba.tasks.track.answers.render import colour, movie

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def tracks() -> pl.DataFrame:
    """Three dancers over twelve frames."""
    truth: pl.DataFrame = simulate.dancers(2, seed=0, n_frames=12, n_dancers=3)[0]
    return truth


def test_a_gif_has_one_picture_per_frame(tracks: pl.DataFrame, tmp_path: Path) -> None:
    path = movie(tracks, first=3, last=9).save(tmp_path / "a.gif")

    with Image.open(path) as picture:
        assert picture.n_frames == 7


def test_a_png_shows_boxes_in_the_colours_of_their_ids(
    tracks: pl.DataFrame, tmp_path: Path
) -> None:
    path = movie(tracks).save(tmp_path / "a.png")

    with Image.open(path) as picture:
        shown = {c for _, c in picture.convert("RGB").getcolors(10**6)}
    assert {colour(i) for i in (1, 2, 3)} <= shown


def test_images_of_the_video_are_the_background(tracks: pl.DataFrame, tmp_path: Path) -> None:
    for number in range(1, 13):
        Image.new("RGB", (64, 36), (200, 0, 0)).save(tmp_path / f"{number:03d}.png")

    path = movie(tracks, images=str(tmp_path)).save(tmp_path / "out.png")

    with Image.open(path) as picture:
        assert picture.getpixel((picture.width - 1, picture.height - 1)) == (200, 0, 0)


def test_a_video_is_written_and_drawn_upon(tracks: pl.DataFrame, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    video = movie(tracks).save(tmp_path / "plain.mp4")

    path = movie(tracks.filter(pl.col("frame") <= 3), images=str(video)).save(tmp_path / "b.gif")

    with Image.open(path) as picture:
        assert picture.n_frames == 3
    (tmp_path / "no.mp4").write_text("no video")
    with pytest.raises(DataError, match="is no video"):
        movie(tracks, images=str(tmp_path / "no.mp4")).save(tmp_path / "c.png")


def test_detections_without_track_are_grey(tracks: pl.DataFrame, tmp_path: Path) -> None:
    path = movie(tracks.with_columns(track_id=pl.lit(-1))).save(tmp_path / "a.png")

    with Image.open(path) as picture:
        assert (150, 150, 150) in {c for _, c in picture.convert("RGB").getcolors(10**6)}


def test_what_cannot_be_drawn_is_named(tracks: pl.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the suffix must be"):
        movie(tracks).save(tmp_path / "a.avi")
    with pytest.raises(ConfigError, match="no sequence 'x'; known: dance-00, dance-01"):
        movie(tracks, sequence="x")
    with pytest.raises(DataError, match="there are no boxes to draw"):
        movie(tracks, first=500).save(tmp_path / "a.gif")
    with pytest.raises(FileNotFoundError, match="no folder of images or video"):
        movie(tracks, images=str(tmp_path / "absent")).save(tmp_path / "a.gif")
    with pytest.raises(DataError, match="holds no"):
        movie(tracks, images=str(tmp_path)).save(tmp_path / "a.gif")
