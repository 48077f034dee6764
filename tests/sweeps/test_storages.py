"""Storages: sound ones open, damaged ones and missing drivers are explained."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage

from seqmamba.errors import DataError, MissingPackageError
from seqmamba.sweeps import storages, sweep
from seqmamba.sweeps.storages import open_storage


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (None, InMemoryStorage),
        ("{}/a.db", RDBStorage),
        ("sqlite:///{}/b.db", RDBStorage),
        ("journal:{}/c.log", JournalStorage),
    ],
)
def test_place_names_the_kind(place: str | None, kind: type[Any], tmp_path: Path) -> None:
    storage = open_storage(None if place is None else place.format(tmp_path))

    assert type(storage) is kind


def test_sqlite_has_heartbeat_grace_and_patience(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path / "s.db"))

    assert isinstance(storage, RDBStorage)
    assert (storage.heartbeat_interval, storage.grace_period) == (60, 120)
    assert storage.engine_kwargs["connect_args"] == {"timeout": 60}
    assert storage.get_heartbeat_stale_trial_callback() is storages.requeue


@pytest.mark.parametrize(
    ("place", "package"),
    [
        ("postgresql://h/d", "psycopg2"),
        ("mysql://h/d", "MySQLdb"),
        ("redis://h:1", "redis"),
    ],
)
def test_missing_driver_is_named(place: str, package: str) -> None:
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    with pytest.raises(MissingPackageError, match="pip install"):
        open_storage(place)


def test_truncated_database_is_explained(parabola: Any, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    sweep(parabola, "data", trials=5, storage=path)
    content = path.read_bytes()
    path.write_bytes(content[:-4096])

    with pytest.raises(DataError, match="seqmamba sweep recover"):
        sweep(parabola, "data", trials=5, storage=path)

    assert path.read_bytes() == content[:-4096]


def test_file_that_is_no_database_is_refused(parabola: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but precious" * 50)

    with pytest.raises(DataError, match="not a sound database"):
        sweep(parabola, "data", trials=5, storage=path)

    assert path.read_text().startswith("not a database")
