"""Folders of one file per bag: CLAM's ``.h5`` and ``.pt``, ``.npz`` and ``.npy``."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqmamba.errors import DataError, MissingPackageError

__all__ = ["SUFFIXES", "FileBags", "bag_files", "bag_name", "write_h5"]

SUFFIXES = (".h5", ".pt", ".npz", ".npy")
SLIDES = (".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide")
FOLDERS = ("h5_files", "pt_files")  # CLAM's, in the order of preference: the first has coords
Rows = NDArray[Any]


class _Bag(NamedTuple):
    features: Rows  # (L, F)
    coords: NDArray[np.float64] | None  # (L, 2)


class FileBags:
    """Bags that are read one file at a time; those read last stay in memory.

    Parameters
    ----------
    files : sequence of Path
        One per bag; the name without suffix is its id.
    cache_bytes : int
        Memory for bags that were read.

    Raises
    ------
    DataError
        A file is damaged or empty, or has another number of features than the first.
    """

    def __init__(self, files: Sequence[Path], cache_bytes: int = 2**29) -> None:
        self.files = tuple(files)
        self.ids = tuple(bag_name(file.name) for file in files)
        shapes = [_shape(file) for file in files]
        for file, (length, width) in zip(files, shapes, strict=True):
            if length == 0:
                raise DataError(f"{file} is an empty bag; leave it out.", where=str(file), value=0)
            if width != shapes[0][1]:
                raise DataError(
                    f"{file} has {width} features, {files[0].name} has {shapes[0][1]}; "
                    "all bags need the same.",
                    where=str(file),
                    value=width,
                )
        self.lengths = np.array([length for length, _ in shapes], np.int64)
        self.names = tuple(f"f{j}" for j in range(shapes[0][1] if shapes else 0))
        self.cache_bytes = cache_bytes
        self._kept: OrderedDict[int, _Bag] = OrderedDict()
        self._bytes = 0

    def take(self, indices: NDArray[np.int64]) -> Rows:
        """Return the instances of some bags: (T, F)."""
        parts = [self._bag(int(i)).features for i in indices]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.names)), np.float32)

    def coords(self, index: int) -> NDArray[np.float64] | None:
        """Return the places of a bag, (L, 2), or None."""
        return self._bag(index).coords

    def _bag(self, index: int) -> _Bag:
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        bag = _read(self.files[index])
        self._kept[index] = bag
        self._bytes += bag.features.nbytes
        while self._bytes > self.cache_bytes and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.features.nbytes
        return bag


def bag_name(name: str) -> str:
    """Return the id that a file name or a slide name stands for.

    Examples
    --------
    >>> bag_name("TCGA-1.svs"), bag_name("TCGA-1.h5"), bag_name("a.b")
    ('TCGA-1', 'TCGA-1', 'a.b')
    """
    for suffix in (*SUFFIXES, *SLIDES):
        name = name.removesuffix(suffix)
    return name


def bag_files(folder: Path) -> list[Path]:
    """Return the files of a folder of bags, by name; CLAM's sub-folders are looked into.

    Raises
    ------
    DataError
        The folder holds no bag, or bags of several formats.
    """
    places = [folder / name for name in FOLDERS if (folder / name).is_dir()] or [folder]
    files = sorted(file for file in places[0].iterdir() if file.suffix in SUFFIXES)
    found = {file.suffix for file in files}
    if len(found) != 1:
        what = f"files of several formats ({', '.join(sorted(found))})" if found else "no bags"
        raise DataError(f"{folder} holds {what}; one format of {' '.join(SUFFIXES)} is expected.")
    return files


def write_h5(path: Path, features: Rows, coords: NDArray[Any] | None = None) -> None:
    """Write a bag as CLAM does: data sets ``features`` and ``coords``."""
    h5py = _h5py()
    with h5py.File(path, "w") as file:
        file["features"] = features
        if coords is not None:
            file["coords"] = coords


def _shape(file: Path) -> tuple[int, int]:
    """Return instances and features, without reading the values where the format allows it."""
    if file.suffix == ".h5":
        with _opened(file) as content:
            shape = content["features"].shape
            return _squeezed(file, shape, 2)
    shape = _read(file).features.shape
    return int(shape[0]), int(shape[1])


def _read(file: Path) -> _Bag:
    if file.suffix == ".h5":
        with _opened(file) as content:
            features = _matrix(file, content["features"][()])
            coords = content["coords"][()] if "coords" in content else None
        return _Bag(features, _coords(file, coords, len(features)))
    if file.suffix == ".pt":
        return _Bag(_matrix(file, _tensor(file)), None)
    try:
        content = np.load(file, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise DataError(f"{file} cannot be read: {error}.", where=str(file)) from error
    if isinstance(content, np.ndarray):
        return _Bag(_matrix(file, content), None)
    with content:
        if "features" not in content:
            raise DataError(
                f"{file} has no array 'features'; it has {', '.join(content)}.", where=str(file)
            )
        features = _matrix(file, content["features"])
        coords = content.get("coords")
    return _Bag(features, _coords(file, coords, len(features)))


def _opened(file: Path) -> Any:
    try:
        content = _h5py().File(file, "r")
    except OSError as error:
        raise DataError(f"{file} is no HDF5 file: {error}.", where=str(file)) from error
    if "features" not in content:
        known = ", ".join(content)
        content.close()
        raise DataError(f"{file} has no data set 'features'; it has {known}.", where=str(file))
    return content


def _tensor(file: Path) -> Rows:
    import torch  # only for .pt files

    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch passes on the errors of every reader that it tries
        raise DataError(
            f"{file} is not a plain tensor and is not loaded: a .pt file can run code. "
            "Save the features alone with torch.save(tensor, path), or as .h5.",
            where=str(file),
        ) from error
    if not isinstance(found, torch.Tensor):
        raise DataError(
            f"{file} holds a {type(found).__name__}, not one tensor (instances, features).",
            where=str(file),
        )
    if found.dtype == torch.bfloat16:
        found = found.float()
    array: Rows = found.numpy()
    return array


def _matrix(file: Path, array: Any) -> Rows:
    _squeezed(file, array.shape, 2)
    matrix: Rows = np.asarray(array).reshape(array.shape[-2:])
    if matrix.dtype.kind not in "biuf":
        raise DataError(f"{file} holds {matrix.dtype}, not numbers.", where=str(file))
    return matrix.astype(np.float32) if matrix.dtype == np.float64 else matrix


def _coords(file: Path, coords: Any, length: int) -> NDArray[np.float64] | None:
    if coords is None:
        return None
    _squeezed(file, coords.shape, 2)
    places: NDArray[np.float64] = np.asarray(coords, np.float64).reshape(coords.shape[-2:])
    if places.shape != (length, 2):
        raise DataError(
            f"{file} has {length} instances and coords of shape {places.shape}; "
            f"({length}, 2) is expected.",
            where=str(file),
        )
    return places


def _squeezed(file: Path, shape: tuple[int, ...], ndim: int) -> tuple[int, int]:
    """Return the last two axes; a leading axis of 1, as TRIDENT writes, is allowed."""
    if len(shape) == ndim + 1 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != ndim:
        raise DataError(
            f"{file} has shape {shape}; (instances, features) is expected.", where=str(file)
        )
    return int(shape[0]), int(shape[1])


def _h5py() -> Any:
    try:  # h5py: only for .h5 files
        import h5py
    except ImportError as error:
        raise MissingPackageError('.h5 files need h5py: pip install "seqmamba[mil]".') from error
    return h5py
