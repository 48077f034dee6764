"""Recordings and labels from every form; damage is named and never ends a run."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from seqmamba.datasets.records import open_records, read_labels
from seqmamba.datasets.records.record import per_millivolt
from seqmamba.errors import DataError

pytest.importorskip("wfdb", reason="the extra ecg is not installed")
NAMES = ("I", "II", "V1")


@pytest.fixture
def signal() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(0, 0.5, (3, 600)).round(3)


def _write(folder: Path, name: str, signal: Any, comments: list[str]) -> None:
    """Write a record of format 16: I in millivolts, II in microvolts, V1 in no unit of voltage."""
    gains = {"I": "1000/mV", "II": "1/uV", "V1": "1000/NU"}
    lines = [f"{name} 3 200 {signal.shape[1]}"]
    lines += [f"{name}.dat 16 {gain} 16 0 0 0 0 {lead}" for lead, gain in gains.items()]
    (folder / f"{name}.hea").write_text("\n".join([*lines, *(f"# {c}" for c in comments)]) + "\n")
    np.round(signal.T * 1000).astype("<i2").tofile(folder / f"{name}.dat")


def test_wfdb_units_become_millivolts(signal: Any, tmp_path: Path) -> None:
    _write(tmp_path, "r1", signal, ["Age: 59", "Sex: Female", "Dx: 164934002,426783006"])

    (record,) = open_records(tmp_path / "r1").read()

    assert record is not None
    assert record.leads == ("I", "II")  # the third is no voltage
    assert record.diagnoses == ("164934002", "426783006")
    assert dict(record.facts) == {"age": "59", "sex": "Female"}
    np.testing.assert_allclose(record.signal, signal[:2], atol=2e-4)


def test_corrupt_record_among_others_is_listed(signal: Any, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        _write(tmp_path, name, signal, [])
    (tmp_path / "b.dat").write_bytes((tmp_path / "b.dat").read_bytes()[:100])
    (tmp_path / "c.dat").unlink()
    records = open_records(tmp_path)

    found = list(records.read("skip"))

    assert [record.name for record in found if record] == ["a"]
    assert [failure.name for failure in records.failures] == ["b", "c"]
    assert "c.dat is missing" in records.failures[1].reason
    with pytest.raises(DataError, match="record b: its files are damaged"):
        list(records.read("raise"))


@pytest.mark.parametrize("form", ["npz", "npy", "wide", "long", "list"])
def test_every_form_holds_the_same_signal(signal: Any, tmp_path: Path, form: str) -> None:
    columns = {name: signal[k] for k, name in enumerate(NAMES)}
    time = np.arange(600) / 200
    source: Any = [signal]
    if form == "npz":
        source = tmp_path / "x.npz"
        np.savez(source, x=signal[None], fs=200, leads=np.array(NAMES))
    elif form == "npy":
        source = tmp_path / "x.npy"
        np.save(source, signal[None])
    elif form == "wide":
        source = pl.DataFrame(
            {"record": ["r"], "fs": [200], **{k: [v] for k, v in columns.items()}}
        )
    elif form == "long":
        source = pl.DataFrame({"record": ["r"] * 600, "t": time, **columns})

    (record,) = open_records(source, fs=200, lead_names=NAMES).read()

    assert record is not None
    assert record.fs == pytest.approx(200)
    assert record.leads == NAMES
    np.testing.assert_allclose(record.signal, signal, atol=1e-6)


def test_rate_follows_from_the_times(signal: Any) -> None:
    table = pl.DataFrame({"record": ["r"] * 600, "t": np.arange(600) / 250, "I": signal[0]})

    (record,) = open_records(table).read()

    assert record is not None
    assert record.fs == pytest.approx(250)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (pl.DataFrame({"record": ["r"], "I": [[0.0, 1.0]]}), "rate is unknown"),
        (pl.DataFrame({"record": ["r"], "fs": [100], "I": [[0.0]], "II": [[0.0, 1]]}), "different"),
        (pl.DataFrame({"id": ["r"], "value": ["a"]}), "no column 'record'"),
        (np.zeros((1, 5, 100)), "5 leads, and their names are unknown"),
    ],
    ids=["no rate", "lengths", "no record", "no names"],
)
def test_unclear_source_is_named(source: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(open_records(source).read())


def test_edf_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.edf").write_bytes(b"0")

    with pytest.raises(DataError, match="EDF files are not read here"):
        list(open_records(tmp_path / "x.edf").read())


def test_matlab_struct_is_read(tmp_path: Path) -> None:
    from scipy.io import savemat

    data = np.random.default_rng(0).normal(size=(12, 900))
    savemat(tmp_path / "A1.mat", {"ECG": {"sex": "Male", "age": 52, "data": data}})

    (record,) = open_records(tmp_path / "A1.mat").read()

    assert record is not None
    assert (record.fs, record.leads[6]) == (500.0, "V1")
    np.testing.assert_allclose(record.signal, data, rtol=1e-6)


@pytest.mark.parametrize(("unit", "gain"), [("MV", 1), ("µV", 1000), ("nV", 1e6), (200.0, 200)])
def test_units_in_any_case(unit: Any, gain: float) -> None:
    assert per_millivolt(unit) == gain


def test_no_unit_of_voltage_is_refused() -> None:
    with pytest.raises(DataError, match="'mmHg' is no unit of voltage"):
        per_millivolt("mmHg")


def test_codes_become_classes_and_equivalents_one() -> None:
    table = pl.DataFrame({"record": ["a", "b"], "dx": ["713427006|59118001", "164889003,999"]})

    labels = read_labels(table, ["b", "a"])

    assert labels.classes == ("999", "AF", "RBBB")
    assert labels.values.tolist() == [[1, 1, 0], [0, 0, 1]]


def test_text_columns_of_a_label_table_are_ignored() -> None:
    table = pl.DataFrame(
        {"record": ["a", "b"], "age": [51, 64], "text": ["x", "y"], "AF": [0, None], "SB": [1, 0]}
    )

    labels = read_labels(table, ["a", "b"])

    assert labels.classes == ("AF", "SB")
    assert np.isnan(labels.values[1, 0])


@pytest.mark.parametrize(
    ("table", "names", "classes", "message"),
    [
        ({"record": ["a"], "AF": [1]}, ["a", "b"], None, "1 records have no labels; first: 'b'"),
        ({"record": ["a"], "AF": [1]}, ["a"], ["AF", "SB"], "lack the classes SB"),
        ({"record": ["a"], "AF": [2]}, ["a"], ["AF"], "class 'AF' of row 1 is 2"),
        ({"AF": [1, 0]}, ["a"], None, "2 rows of labels for 1 records"),
    ],
)
def test_bad_labels_are_named(table: Any, names: Any, classes: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labels(pl.DataFrame(table), names, classes)
