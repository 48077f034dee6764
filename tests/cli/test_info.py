"""``seqmamba info``: the installation, or the header of a model."""

import json
from pathlib import Path
from typing import Any

import seqmamba


def test_versions_devices_and_backends_are_shown(command: Any) -> None:
    facts = json.loads(command("info", "--json").out)["facts"]

    assert facts["versions"]["seqmamba"] == seqmamba.__version__
    assert facts["backends"]["reference"] == "available"
    assert all(facts["backends"].values())
    assert "cpu" in facts["devices"]


def test_text_names_the_same_facts(command: Any) -> None:
    lines = command("info").out.splitlines()

    assert lines[0] == "versions"
    assert any(line.split() == ["reference", "available"] for line in lines)


def test_header_of_a_model_is_shown(command: Any, model: Path) -> None:
    facts = json.loads(command("info", model, "--json").out)["facts"]

    assert facts["file"]["task"] == "regress"
    assert facts["config"]["class"] == "SequenceRegressor"
    assert facts["sklearn_params"]["d_model"] == 8


def test_damaged_model_is_explained(command: Any, model: Path, tmp_path: Path) -> None:
    (tmp_path / "half.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:100])

    ended = command("info", "half.safetensors")

    assert ended.code == 65
    assert ended.err.count("\n") == 1


def test_function_and_module_do_not_collide() -> None:
    seqmamba.info()

    assert callable(seqmamba.info)
