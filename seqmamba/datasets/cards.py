"""Data cards: what a public data set is, where it comes from, and whether a copy is the right one.

A card is a YAML file in ``datasets/``. Cards describe and check; ``downloads`` fetches.
"""

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from seqmamba import frames, storage
from seqmamba.errors import ConfigError, DataError
from seqmamba.params import nearest

__all__ = ["Card", "CardFile", "card", "card_names", "check", "data_home", "load"]

_BLOCK = 2**22


@dataclass(frozen=True)
class CardFile:
    """One file of a data set."""

    path: str  # relative to the folder of the data set
    sha256: str | None  # None: no copy was at hand to take it from
    bytes: int | None
    url: str | None = None  # None: the original has another form, or asks for consent first


@dataclass(frozen=True)
class Card:
    """What is known of one data set.

    Attributes
    ----------
    name, task, title : str
    source_url : str
        Page or repository of the original files.
    licence, citation : str
    files : tuple of CardFile
    format : str
        Suffix of the first file, or the name of a reader of the task.
    columns : mapping
        Roles of columns; ``header: false`` for files without names; ``array`` and ``channel``
        for one channel of an ``.npz`` file; ``rows`` and ``values`` are the counts that a true
        copy has.
    borders : mapping
        Rows (or shares) of ``train``, ``valid``, ``test`` by the literature.
    notes : str
    """

    name: str
    task: str
    title: str
    source_url: str
    licence: str
    citation: str
    files: tuple[CardFile, ...]
    format: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    borders: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""


def card_names(task: str | None = None) -> list[str]:
    """Return the names of all cards, or of the cards of one task, in alphabetical order."""
    names = sorted(path.stem for path in storage.share("datasets", "").glob("*.yaml"))
    return [name for name in names if task is None or card(name).task == task]


@cache
def card(name: str) -> Card:
    """Read a card.

    Parameters
    ----------
    name : str
        Upper or lower case, ``ETTh1``.

    Raises
    ------
    ConfigError
        No such card, or a card with unknown or missing fields.

    Examples
    --------
    >>> card("etth1").borders["train"]
    8640
    """
    path = storage.share("datasets", f"{storage.file_name(name.lower())}.yaml")
    if not path.is_file():
        known = card_names()
        raise ConfigError(f"no data card {name!r}.{nearest(name.lower(), known)} Known: {known}.")
    return _parse(yaml.safe_load(path.read_text(encoding="utf-8")), path.name)


def check(card: Card, folder: str | os.PathLike[str] | None = None) -> list[Path]:
    """Return the files of a data set after comparing sizes and checksums.

    Parameters
    ----------
    card : Card
    folder : path or None
        Where the files lie; None is ``<data_home>/<card name>``.

    Raises
    ------
    FileNotFoundError
        Says which file is missing and where the original comes from.
    DataError
        A file is not the one that the card describes.
    """
    place = Path(folder) if folder is not None else data_home() / card.name
    return [_checked(card, entry, place / entry.path) for entry in card.files]


def load(name: str, folder: str | os.PathLike[str] | None = None) -> pl.DataFrame:
    """Check a data set of one table and read it.

    Parameters
    ----------
    name : str
    folder : path or None
        As for :func:`check`.

    Returns
    -------
    polars DataFrame
        The table as it lies in the file.

    Raises
    ------
    FileNotFoundError, DataError, ConfigError
        As :func:`check`; :class:`ConfigError` if the set is not one table file.
    """
    described = card(name)
    first, *others = check(described, folder)
    if others:
        raise ConfigError(f"{name!r} has {len(described.files)} files; use the reader of its task.")
    table = _read(described, first)
    _check_shape(described, table)
    return table


def data_home() -> Path:
    """Return the folder of downloaded data: ``SEQMAMBA_HOME``, else the user's cache."""
    chosen = os.environ.get("SEQMAMBA_HOME")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "seqmamba"


def _read(card: Card, path: Path) -> pl.DataFrame:
    roles = card.columns
    if "array" in roles:  # one channel of an array (rows, values, channels) in an archive
        with np.load(path, allow_pickle=False) as arrays:
            return frames.read(arrays[roles["array"]][:, :, roles["channel"]])[0]
    has_header = roles.get("header", True)
    names = None if has_header else [f"x{i}" for i in range(roles["values"])]
    return frames.read(path, columns=names)[0]


def _checked(card: Card, entry: CardFile, path: Path) -> Path:
    if not path.is_file():
        message = f"{card.name}: there is no file {path}. The original is at {card.source_url}."
        raise FileNotFoundError(message)
    size = path.stat().st_size
    if entry.bytes is not None and size != entry.bytes:
        message = f"{path} has {size} bytes, the card of {card.name} says {entry.bytes}."
        raise DataError(f"{message} Fetch it again.", where=str(path), value=size)
    if entry.sha256 is not None and (found := _sha256(path)) != entry.sha256:
        message = f"{path} has sha256 {found}, the card of {card.name} says {entry.sha256}."
        raise DataError(f"{message} Fetch it again.", where=str(path), value=found)
    return path


def _check_shape(card: Card, table: pl.DataFrame) -> None:
    """Compare rows and value columns; the only check where no checksum is known."""
    values = table.width - ("time" in card.columns)
    for what, found in (("rows", table.height), ("values", values)):
        expected = card.columns.get(what, found)
        if found != expected:
            message = f"{card.name} should have {expected} {what}, this copy has {found}."
            raise DataError(f"{message} Fetch it again.", where=card.name, value=found)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _parse(found: Any, where: str) -> Card:
    if not isinstance(found, Mapping):
        raise ConfigError(f"{where} is not a mapping of fields.")
    known = {item.name: item for item in dataclasses.fields(Card)}
    for key in found:
        if key not in known:
            raise ConfigError(f"{where} has an unknown field {key!r}.{nearest(str(key), known)}")
    missing = [name for name in known if name not in found and name not in _OPTIONAL]
    if missing:
        raise ConfigError(f"{where} lacks the fields {missing}.")
    if not isinstance(found["files"], list) or not found["files"]:
        raise ConfigError(f"{where} must list at least one file.")
    return Card(**{**found, "files": tuple(_parse_file(entry, where) for entry in found["files"])})


_OPTIONAL = {"columns", "borders", "notes"}


def _parse_file(entry: Any, where: str) -> CardFile:
    if not isinstance(entry, Mapping) or set(entry) - {"url"} != {"path", "sha256", "bytes"}:
        raise ConfigError(f"each file of {where} needs path, sha256 and bytes; got {entry!r}.")
    if not str(entry.get("url", "https:")).startswith("https:"):
        raise ConfigError(f"{where}: the address {entry['url']!r} must begin with https:")
    parts = Path(entry["path"]).parts
    if Path(entry["path"]).is_absolute() or ".." in parts:
        raise ConfigError(f"{where}: the path {entry['path']!r} must stay in its folder.")
    return CardFile(**entry)
