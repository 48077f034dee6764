"""Loading never runs code: names that could are absent from the package (reliability M2)."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "seqmamba"
# The contract tests in testing/ pickle objects of their own; they read no files.
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent.name != "testing")
MODULE_NAMES = {
    "pickle",
    "cPickle",
    "dill",
    "joblib",
    "cloudpickle",
    "marshal",
    "shelve",
    "jsonpickle",
}
BUILTINS = {"eval", "exec", "compile", "__import__"}
YAML = {"load", "load_all", "full_load", "full_load_all", "unsafe_load", "unsafe_load_all"}


def forbidden(source: str) -> list[str]:
    """Return what a source text may not contain, with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").split(".")[0]}
        elif isinstance(node, ast.Call):
            found += [f"line {node.lineno}: {what}" for what in _calls(node)]
            continue
        else:
            continue
        found += [f"line {node.lineno}: import {name}" for name in names & MODULE_NAMES]
    return found


def _calls(node: ast.Call) -> list[str]:
    called = ast.unparse(node.func)
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    owner, _, name = called.rpartition(".")
    wrong = []
    if called in BUILTINS:
        wrong.append(called)
    if owner == "torch" and name == "load" and options.get("weights_only") != "True":
        wrong.append("torch.load without weights_only=True")
    if owner == "yaml" and name in YAML:
        wrong.append(called)
    if options.get("allow_pickle", "False") != "False":
        wrong.append("allow_pickle")
    if "trust_remote_code" in options:
        wrong.append("trust_remote_code")
    if name == "read_pickle":
        wrong.append(called)
    return wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_module_can_run_code_from_a_file(path: Path) -> None:
    assert forbidden(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load(path)",
        "torch.load(path, weights_only=False)",
        "eval(text)",
        "exec(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "pd.read_pickle(path)",
        "load_dataset(name, trust_remote_code=True)",
    ],
)
def test_the_search_finds_what_it_forbids(source: str) -> None:
    assert forbidden(source)


@pytest.mark.parametrize(
    "source",
    ["net.eval()", "re.compile(x)", "yaml.safe_load(x)", "torch.load(p, weights_only=True)"],
)
def test_the_search_spares_what_is_safe(source: str) -> None:
    assert forbidden(source) == []
