"""The layer rule and the size rule of the architecture, read off the syntax trees."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "seqmamba"
MODULES = sorted(PACKAGE.rglob("*.py"))
ORDER = (  # a module imports from its own line or from a line above
    ("errors", "params", "frames", "storage"),
    ("kernels",),
    ("nn",),
    ("datasets", "metrics"),
    ("reports",),  # drawing tools that base, tasks and sweeps use
    ("base", "modelfile", "train"),
    ("tasks",),
    ("environment", "sweeps"),
    ("cli", "testing"),
)
LAYERS = {name: layer for layer, names in enumerate(ORDER) for name in names}
STRANGERS = ({"datasets", "metrics"}, {"cli", "testing"})  # same layer, but no neighbours


def imports(path: Path) -> Iterator[str]:
    """Yield the modules of ours that a file imports, without the name of the package."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.removeprefix("seqmamba.") for name in names if name[:9] == "seqmamba.")


def violation(module: str, wanted: str) -> str | None:
    """Say what is wrong with an import, or None."""
    here, there = module.split(".")[0], wanted.split(".")[0]
    if there not in LAYERS:  # an attribute of the package itself, such as __version__
        return None if there.startswith("__") else "stands in no layer"
    if there == "testing" and here != "testing":
        return "nothing imports testing"
    if LAYERS[there] > LAYERS[here]:
        return "points upwards"
    if here != there and {here, there} in STRANGERS:
        return "goes sideways"
    task = wanted.split(".")[1] if there == "tasks" and "." in wanted else ""
    if (PACKAGE / "tasks" / task).is_dir() and task:
        if here != "tasks":
            return "knows a task; ask the registry"
        if module.split(".")[1:2] != [task]:
            return "tasks do not know each other"
    return None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_its_own_layer_or_below(path: Path) -> None:
    module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    if module == "__init__":  # resolves public names of every layer on first use
        return

    wrong = [f"{name}: {found}" for name in imports(path) if (found := violation(module, name))]

    assert wrong == [], f"{module} imports {wrong}"


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        ("nn.encoder", "tasks.mil.model"),
        ("tasks.mil.model", "tasks.forecast.model.Stem"),
        ("metrics.forecast", "datasets.series.read"),
        ("base", "testing.EstimatorContract"),
        ("cli.main", "tasks.forecast.estimator.SMambaForecaster"),
        ("kernels.ops", "nn.encoder"),
    ],
)
def test_the_rule_finds_what_it_forbids(module: str, wanted: str) -> None:
    assert violation(module, wanted) is not None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    long = {name: lines for name, lines in function_sizes(text).items() if lines > 80}

    assert len(text.splitlines()) <= 500
    assert long == {}


def function_sizes(text: str) -> dict[str, int]:
    """Return the lines of every function without its docstring."""
    sizes = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = len((ast.get_docstring(node, clean=False) or "").splitlines())
            sizes[node.name] = (node.end_lineno or 0) - node.lineno + 1 - docstring
    return sizes


@pytest.mark.parametrize("folder", ["kernels", "datasets", "tasks", "sweeps"])
def test_root_folders_hold_no_importable_package(folder: str) -> None:
    assert not list((PACKAGE.parent / folder).rglob("__init__.py"))
