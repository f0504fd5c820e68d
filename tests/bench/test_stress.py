"""The script that kills the benchmark, with few kills."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_kills_and_restarts_end_in_the_same_tables(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "tools/bench_stress.py",
        "--kills",
        "3",
        "--workers",
        "0",
        "--shots",
        "1",
        "--seeds",
        "2",
    ]
    done = subprocess.run([*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^kill \d+ with --workers 0", done.stdout, flags=re.M)) == 3
    assert "12 records; equal: True; tables the same bytes: True; grid: True; files: True" in done.stdout
    assert (tmp_path / "killed" / "accuracy.tsv").read_bytes() == (
        tmp_path / "undisturbed" / "accuracy.tsv"
    ).read_bytes()
