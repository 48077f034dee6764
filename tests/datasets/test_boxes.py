"""Formats of boxes: what is read, what is written, what is refused and how."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from seqmamba.datasets.boxes.files import (
    read_boxes,
    read_boxes_counted,
    read_points,
    write_boxes,
)
from seqmamba.datasets.boxes.mot import read_mot, read_seqinfo
from seqmamba.datasets.boxes.table import COLUMNS, check_boxes, to_centre, to_corners
from seqmamba.errors import ConfigError, DataError

ROW: dict[str, list[Any]] = {"frame": [1], "x1": [0.0], "y1": [0.0], "x2": [5.0], "y2": [9.0]}


def _tracks(n: int = 4) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    corner, size = rng.uniform(-20, 500, (2 * n, 2)), rng.uniform(1, 90, (2 * n, 2))
    boxes = np.concatenate([corner, corner + size], axis=1)
    table = pl.DataFrame(boxes, schema=["x1", "y1", "x2", "y2"]).with_columns(
        sequence=pl.Series(["a"] * n + ["b"] * n),
        frame=pl.Series([*range(1, n + 1)] * 2),
        track_id=pl.lit(3),
    )
    return check_boxes(table)[0]


def _write(folder: Path, text: str, name: str = "clip.txt") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_corners_and_centres_are_inverse() -> None:
    boxes = _tracks().select("x1", "y1", "x2", "y2").to_numpy()

    np.testing.assert_allclose(to_corners(to_centre(boxes)), boxes)


@pytest.mark.parametrize("suffix", ["", ".csv", ".parquet"])
def test_write_then_read_returns_the_same_rows(tmp_path: Path, suffix: str) -> None:
    table = _tracks()

    write_boxes(table, tmp_path / f"out{suffix}")
    again = read_boxes(tmp_path / f"out{suffix}")

    assert again.drop("x1", "y1", "x2", "y2").equals(table.drop("x1", "y1", "x2", "y2"))
    difference = again.select("x1", "y1", "x2", "y2") - table.select("x1", "y1", "x2", "y2")
    assert np.abs(difference.to_numpy()).max() <= (0.005 + 1e-9 if suffix == "" else 1e-12)


def test_blanks_after_commas_and_id_zero_are_read(tmp_path: Path) -> None:
    path = _write(tmp_path, "1, 0, 83, 421, 88, 130, 1, 1, 1\n\n2, 0, 84, 421, 88, 130, 0, 1, 1\n")

    table, dropped = read_mot(path)

    assert table["track_id"].to_list() == [0]  # the second row is not to be considered
    assert table.row(0)[3:7] == (83.0, 421.0, 171.0, 551.0)
    assert dropped == 0


def test_written_ids_start_at_one(tmp_path: Path) -> None:
    table = _tracks().filter(pl.col("sequence") == "a").with_columns(track_id=pl.lit(0))

    write_boxes(table, tmp_path / "a.txt")

    assert (tmp_path / "a.txt").read_text().startswith("1,1,")


def test_pedestrians_alone_count_in_mot17(tmp_path: Path) -> None:
    text = "1,1,0,0,5,5,1,1,1\n1,2,0,0,5,5,1,7,1\n"

    there = read_boxes(_write(tmp_path, text, "MOT17-02/gt/gt.txt"))
    elsewhere = read_boxes(_write(tmp_path, text, "dance/gt/gt.txt"))

    assert there["track_id"].to_list() == [1]
    assert elsewhere["track_id"].to_list() == [1, 2]


def test_world_coordinates_are_no_class(tmp_path: Path) -> None:
    path = _write(tmp_path, "1,1,88,99,61,218,1,4.4852,5.5016,0\n", "TUD/gt/gt.txt")

    table = read_boxes(path)

    assert table["sequence"].to_list() == ["TUD"]
    assert table["class_id"].to_list() == [0]


def test_a_folder_holds_many_sequences(tmp_path: Path) -> None:
    for name in ("b", "a"):
        _write(tmp_path, "1,-1,0,0,5,5,0.5,-1,-1,-1\n", f"{name}/det/det.txt")

    table = read_boxes(tmp_path, "detections")

    assert table["sequence"].to_list() == ["a", "b"]
    assert table["confidence"].to_list() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,1,0,0,5,5,1\n2,1,0,0,x,5,1\n", "line 2: 'x' is no number"),
        ("1,1,0,0,5,5,1\n\n2,1,0,0,5\n", "line 3: 5 columns. Expected 7 numbers"),
        ("1,1,0,0\n", "line 1: 4 columns. Expected 6"),
        ("1,1,0,0,5,5,1\n1,2,0,0,0,5,1\n", "line 2: not a box: frame=1, x1=0.0"),
        ("1,1,0,0,5,-5,1\n", "line 1: not a box"),
        ("1,1,0,0,nan,5,1\n", "line 1: not a box"),
        ("1,1,0,0,inf,5,1\n", "line 1: not a box"),
        ("0,1,0,0,5,5,1\n", "Expected frame >= 1"),
        ("1.5,1,0,0,5,5,1\n", "frame 1.5 in row 1 is not a whole number"),
        ("1,1,0,0,5,5,1\n1,1,9,0,5,5,1\n", "line 2: track_id 1 stands a second time in frame 1"),
        ("", "is empty"),
    ],
)
def test_bad_text_names_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = _write(tmp_path, text)

    with pytest.raises(DataError, match="clip") as caught:
        read_boxes(path)

    assert message in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.txt"
    path.write_bytes(b"1,1,0,0,5,5\xff\n")

    with pytest.raises(DataError, match="byte 11 is not UTF-8"):
        read_boxes(path)


def test_drop_counts_what_it_leaves_out(tmp_path: Path) -> None:
    path = _write(tmp_path, "1,1,0,0,5,5,1\n1,1,9,0,5,5,1\n2,1,0,0,nan,5,1\n3,1,0,0,0,5,1\n")

    table, dropped = read_boxes_counted(path, on_error="drop")

    assert len(table) == 1
    assert dropped == 3


def test_rows_are_sorted_and_further_columns_kept() -> None:
    table = pl.DataFrame(
        {**{k: v * 3 for k, v in ROW.items()}, "frame": [5, 2, 9], "note": ["c", "a", "d"]}
    )

    ordered = read_boxes(table)

    assert ordered.columns == [*COLUMNS, "note"]
    assert ordered["note"].to_list() == ["a", "c", "d"]
    assert ordered["confidence"].to_list() == [1.0] * 3
    assert ordered["track_id"].to_list() == [-1] * 3


@pytest.mark.parametrize("library", ["pandas", "arrow", "dict"])
def test_tables_of_any_library_are_read(library: str) -> None:
    table = _tracks()
    forms: Any = {"pandas": table.to_pandas, "arrow": table.to_arrow, "dict": table.to_dict}
    source = forms[library]()

    assert read_boxes(source).equals(table)


def test_a_missing_column_is_named_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"no column 'x1'.*Did you mean 'x_1'"):
        read_boxes(pl.DataFrame({"frame": [1], "x_1": [0], "y1": [0], "x2": [1], "y2": [1]}))


def test_one_text_file_holds_one_sequence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can hold one sequence, the table has 2"):
        write_boxes(_tracks(), tmp_path / "out.txt")


def test_a_sequence_name_never_leaves_the_folder(tmp_path: Path) -> None:
    table = _tracks().with_columns(sequence=pl.lit("../away"))

    with pytest.raises(DataError, match="cannot name a file"):
        write_boxes(table.head(1), tmp_path / "out")


def test_arrays_have_a_fixed_order_of_columns() -> None:
    table = read_boxes(np.array([[1, 7, 0, 0, 5, 9], [2, 7, 1, 0, 6, 9]]))

    assert table["track_id"].to_list() == [7, 7]
    with pytest.raises(DataError, match=r"shape \(2, 3\)"):
        read_boxes(np.zeros((2, 3)))


def test_points_need_two_columns() -> None:
    table = pl.DataFrame({"frame": [1, 2], "track_id": [0, 0], "x": [0.0, 1.0], "y": [5.0, 5.0]})

    assert read_points(table, ("x", "y"))["x"].to_list() == [0.0, 1.0]
    with pytest.raises(DataError, match="must be x1, y1, x2, y2 or two coordinates"):
        read_points(table, ("x", "z"))


def test_seqinfo_is_read_and_its_faults_named(tmp_path: Path) -> None:
    text = "[Sequence]\nname=a\nframeRate=25\nseqLength=8\nimWidth=1280\nimHeight=720\n"
    path = _write(tmp_path, text, "seqinfo.ini")

    info = read_seqinfo(path)

    assert (info.name, info.fps, info.n_frames, info.width, info.height) == ("a", 25, 8, 1280, 720)
    path.write_text("[Sequence]\nname=a\n")
    with pytest.raises(DataError, match="frameRate"):
        read_seqinfo(path)


@pytest.mark.data
def test_real_tracks_and_detections_are_read(data_dir: Path, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(data_dir / "tracking" / "mot15-tud.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")

    truth = read_boxes(tmp_path / "mot15-tud")
    seen = read_boxes(tmp_path / "mot15-tud", "detections")

    assert (len(truth), truth["track_id"].n_unique()) == (1156, 10)
    assert len(seen) == 951
