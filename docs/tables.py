"""Write the README's tables from the measured results: python docs/tables.py [--check].

Scores come from ``tasks/scores.csv``, speeds from the newest file of ``kernels/bench/results``.
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
    fresh = _replace(_replace(text, "scores", _scores()), "speeds", _speeds())
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


def _spread(row: dict[str, str], name: str) -> str:
    deviation = row[f"{name}_sd"]
    return f"{row[name]} ± {deviation}" if deviation else row[name]


def _speeds() -> str:
    """Return one line per shape: our time, and how many times as long the others take."""
    files = sorted((ROOT / "kernels" / "bench" / "results").glob("scan*.json"))
    if not files:
        return ""
    result: dict[str, Any] = json.loads(files[-1].read_text(encoding="utf-8"))
    machine = ", ".join(str(value) for value in result["machine"].values())
    lines = [f"Scan forward + backward on {machine}.", ""]
    return "".join(f"{line}\n" for line in [*lines, *_speed_rows(result["rows"])])


def _speed_rows(rows: list[dict[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(row["name"] for row in rows))
    lines = [f"| (B, L, E, N) | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for shape in dict.fromkeys(tuple(row["shape"]) for row in rows):
        found = {row["name"]: row for row in rows if tuple(row["shape"]) == shape}
        cells = [f"{found[n]['ms']:.1f} ms" if n in found else "" for n in names]
        lines.append(f"| {shape} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
