"""Real recordings: every one is answered, comments change nothing, the shell runs."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from seqmamba.cli.main import root
from seqmamba.errors import ConfigError
from seqmamba.tasks.ecg.estimator import ECGClassifier

pytestmark = pytest.mark.data
pytest.importorskip("wfdb", reason="the extra ecg is not installed")


@pytest.fixture(scope="module")
def folder(data_dir: Path) -> Path:
    return data_dir / "ecg"


@pytest.mark.parametrize(
    ("record", "flag"),
    [
        ("ludb/1", None),
        ("cinc2021/E07500", None),
        ("cpsc2018/A1984.mat", None),
        ("wfdb_samples/s0010_re", None),
        ("wfdb_samples/100", "missing: I, III"),
        ("wfdb_samples/a103l", "missing: I, III"),
        ("wfdb_samples/test01_00s", "'ECG 1' is read as II"),
    ],
)
def test_every_kind_of_recording_is_answered(
    small_model: ECGClassifier, folder: Path, record: str, flag: str | None
) -> None:
    report = small_model.predict_record(folder / record)

    assert report.table["probability"].is_between(0, 1).all()
    assert flag is None or any(flag in found for found in report.flags)


def test_challenge_metric_takes_the_official_weights(folder: Path) -> None:
    codes = ["426783006", "164889003", "59118001"]
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 12, 300)).astype(np.float32)
    y = pl.DataFrame(
        {
            "record": [str(k) for k in range(40)],
            "dx": ["|".join(random.choice(codes, random.integers(1, 3))) for _ in range(40)],
        }
    )
    model = ECGClassifier(d_model=8, n_layers=1, max_epochs=1, random_state=0).fit(x, y)

    table = model.evaluate(x, y, weights_df=folder / "cinc2021_weights.csv")

    assert model.class_names_ == ["AF", "NSR", "RBBB"]
    assert table.filter(pl.col("metric") == "challenge")["value"][0] <= 1
    with pytest.raises(ConfigError, match="needs weights_df"):
        model.evaluate(x, y, metrics=["challenge"])


@pytest.mark.slow
def test_all_recordings_of_a_folder_are_answered(small_model: ECGClassifier, folder: Path) -> None:
    for name in ("ludb", "cinc2021"):
        table = small_model.predict(folder / name)

        assert table["probability"].is_between(0, 1).all()
        assert table["record"].n_unique() == len(list((folder / name).glob("*.hea")))


def test_damaged_recording_is_a_row_without_an_answer(
    small_model: ECGClassifier, folder: Path
) -> None:
    table = small_model.predict(folder / "wfdb_samples", on_error="nan")

    lost = table.filter(pl.col("probability").is_null())["record"].unique().to_list()
    assert lost == ["drive02"]


def test_comments_of_headers_change_no_prediction(
    small_model: ECGClassifier, folder: Path, tmp_path: Path
) -> None:
    names = [f"ludb/{k}" for k in (1, 2, 3, 7)] + ["cinc2021/E07500"]
    bare = []
    for name in names:
        source = folder / name
        for path in source.parent.glob(f"{source.name}.*"):
            shutil.copy(path, tmp_path / path.name)
        header = tmp_path / f"{source.name}.hea"
        header.chmod(0o644)
        lines = [line for line in header.read_text().splitlines() if not line.startswith("#")]
        header.write_text("\n".join(lines) + "\n")
        bare.append(tmp_path / source.name)

    expected = small_model.predict_proba([folder / name for name in names])

    assert np.array_equal(small_model.predict_proba(bare), expected)


def test_one_record_is_answered_in_half_a_second(small_model: ECGClassifier, folder: Path) -> None:
    import time

    small_model.predict(folder / "ludb" / "1")
    started = time.process_time()
    small_model.predict(folder / "ludb" / "2")

    assert time.process_time() - started < 0.5


def test_shell_fits_predicts_and_reports(folder: Path, tmp_path: Path) -> None:
    run, table = str(tmp_path / "run"), str(tmp_path / "answers.csv")
    data = str(folder / "cinc2021")
    size = ["--d-model", "8", "--n-layers", "1", "--max-epochs", "1"]

    def call(*words: str) -> str:
        result = CliRunner().invoke(root(), ["ecg", *words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    call("fit", data, *size, "--random-state", "0", "--out", run)  # labels of the headers
    call("predict", data, "--model", run, "--out", table)
    call("report", f"{data}/E07500.hea", "--model", run, "--out", str(tmp_path / "page.html"))
    shares = call("saliency", f"{data}/E07500.hea", "--model", run, "--target", "NSR")

    assert pl.read_csv(table).columns == ["record", "class", "probability", "decision"]
    assert "Not a medical device" in (tmp_path / "page.html").read_text()
    assert shares.splitlines()[0] == "record,lead,share"
    assert "50" in call("inspect", data)
