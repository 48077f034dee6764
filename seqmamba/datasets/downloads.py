"""Files of public data sets, fetched on request into the data cache.

Only a file whose card knows address and checksum is fetched, and it takes its place only after
the checksum has been compared: nothing half or changed is ever left behind.
"""

import hashlib
import os
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from seqmamba.datasets.cards import Card, CardFile, check, data_home
from seqmamba.errors import ConfigError, DataError

__all__ = ["fetch"]

TIMEOUT_S = 30.0
_BLOCK = 2**18

Progress = Callable[[str, int, int], object]


def fetch(
    card: Card,
    folder: str | os.PathLike[str] | None = None,
    *,
    progress: Progress = lambda name, done, total: None,
) -> list[Path]:
    """Download what is missing of a data set, and check all of it.

    Parameters
    ----------
    card : Card
    folder : path or None
        Where the files go; None is ``<data_home>/<card name>``, never the working directory.
    progress : callable (file name, bytes so far, bytes in all)
        Called after every block.

    Returns
    -------
    list of Path
        All files of the set.

    Raises
    ------
    ConfigError
        The card knows no address, size or checksum of a missing file.
    FileNotFoundError
        The address does not answer.
    DataError
        What came is not the file that the card describes; it is not kept.
    """
    place = Path(folder) if folder is not None else data_home() / card.name
    for entry in card.files:
        target = place / entry.path
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            _download(card, entry, target, progress)
    return check(card, place)


def _download(card: Card, entry: CardFile, target: Path, progress: Progress) -> None:
    if entry.url is None or entry.sha256 is None or entry.bytes is None:
        raise ConfigError(
            f"the card of {card.name} knows no address with a checksum for {entry.path}. Get it "
            f"from {card.source_url} and put it into {target.parent}."
        )
    digest, count = hashlib.sha256(), 0
    handle, name = tempfile.mkstemp(prefix=f"{target.name}.", suffix=".part", dir=target.parent)
    temporary = Path(name)
    try:
        with open(handle, "wb") as file:
            for block in _blocks(card, entry.url):
                count += len(block)
                if count > entry.bytes:  # an endless answer must not fill the disk
                    break
                digest.update(block)
                file.write(block)
                progress(entry.path, count, entry.bytes)
        if count != entry.bytes or digest.hexdigest() != entry.sha256:
            raise DataError(
                f"{entry.url} does not give the {entry.bytes} bytes of {entry.path} that the card "
                f"of {card.name} describes; nothing was kept. See {card.source_url}.",
                where=entry.url,
            )
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _blocks(card: Card, url: str) -> Iterator[bytes]:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            while block := answer.read(_BLOCK):
                yield block
    except OSError as error:
        raise FileNotFoundError(
            f"{url} does not answer ({error}). Try again later, or get the file from "
            f"{card.source_url} by hand."
        ) from error
