"""Write the README's tables from the measured results: python docs/tables.py [--check].

Scores come from ``tasks/scores.csv``, motion models from ``tasks/track/sportsmot.csv``, speeds from
the newest file of ``kernels/bench/results``.
"""

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"


def main() -> None:
    """Rewrite the tables, or with ``--check`` fail if they are not up to date."""
    text = README.read_text(encoding="utf-8")
    fresh = text
    for name, table in (("scores", _scores), ("motions", _motions), ("speeds", _speeds)):
        fresh = _replace(fresh, name, table())
    if "--check" in sys.argv:
        sys.exit(0 if fresh == text else "README.md is out of date: run python docs/tables.py")
    README.write_text(fresh, encoding="utf-8")


def _replace(text: str, name: str, table: str) -> str:
    block = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    return block.sub(lambda found: f"{found[1]}{table}{found[2]}", text)


def _scores() -> str:
    """Return one line per recipe and metric that was measured."""
    with open(ROOT / "tasks" / "scores.csv", encoding="utf-8", newline="") as file:
        measured = [row for row in csv.DictReader(file) if row["ours_paper"] or row["ours_default"]]
    lines = [
        "| recipe | metric | paper | ours, paper's network | ours, default | best cheap model |",
        "|---|---|---|---|---|---|",
    ]
    for row in measured:
        cheap = f"{row['baseline']} ({row['baseline_name']})" if row["baseline"] else ""
        cells = [row["recipe"], row["metric"], row["paper"], _spread(row, "ours_paper")]
        lines.append(f"| {' | '.join([*cells, _spread(row, 'ours_default'), cheap])} |")
    return "".join(f"{line}\n" for line in lines)


def _motions() -> str:
    """Return one line per motion model: overlap of forecasts by horizon, scores of the tracker."""
    with open(ROOT / "tasks" / "track" / "sportsmot.csv", encoding="utf-8", newline="") as file:
        measured = {row["metric"]: row for row in csv.DictReader(file)}
    shown = {
        **{f"iou_{step}": f"IoU after {step}" for step in (1, 3, 5, 10)},
        **{name: name for name in ("HOTA", "AssA", "MOTA", "IDF1", "switches")},
    }
    models = {"none": "none", "kalman": "Kalman", "linear": "ridge", "value": "MTP (ours)"}
    lines = [f"| motion | {' | '.join(shown.values())} |", "|---" * (len(shown) + 1) + "|"]
    for column, model in models.items():
        cells = [_motion_cell(measured[name], column) for name in shown]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return "".join(f"{line}\n" for line in lines)


def _motion_cell(row: dict[str, str], column: str) -> str:
    places = 3 if row["metric"].startswith("iou") else 0 if row["metric"] == "switches" else 2
    value = f"{float(row[column]):.{places}f}"
    return f"{value} ± {float(row['sd']):.{places}f}" if column == "value" else value


def _spread(row: dict[str, str], name: str) -> str:
    deviation = row[f"{name}_sd"]
    return f"{row[name]} ± {deviation}" if deviation else row[name]


def _speeds() -> str:
    """Return one line per shape: our time, and how many times as long the others take."""
    files = sorted((ROOT / "kernels" / "bench" / "results").glob("scan-*.json"))
    lines: list[str] = []
    for path in files:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        lines += [f"Forward and backward pass of the scan; {_machine(result['machine'])}.", ""]
        lines += [*_speed_rows(result["rows"]), ""]
    return "".join(f"{line}\n" for line in lines)


def _machine(machine: dict[str, Any]) -> str:
    threads = f"{machine['threads']} thread" + "s" * (machine["threads"] > 1)
    load = f", load {machine['load']:.1f}" if "load" in machine else ""
    return f"{machine['processor']}, {machine['instruction_set']}, {threads}{load}"


def _speed_rows(rows: list[dict[str, Any]]) -> list[str]:
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    lines = [f"| B x L x E x N | {' | '.join(arms)} |", "|---" * (len(arms) + 1) + "|"]
    for shape in dict.fromkeys(row["shape"] for row in rows):
        cells = [_speed(row) for row in rows if row["shape"] == shape]
        lines.append(f"| {shape} | {' | '.join(cells)} |")
    return lines


def _speed(row: dict[str, Any]) -> str:
    if row["total_ms"] is None:
        return "-"
    return f"{row['total_ms']:.1f} ms ({row['ratio']:.1f}x)"


if __name__ == "__main__":
    main()
