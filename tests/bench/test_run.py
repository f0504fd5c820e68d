"""Handing out runs and writing records: what is done, skipped, retried, claimed, listed as failed."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

import coopt.bench.run
from coopt.bench import BenchFolder, BenchReporter, Outcome, Run, read_failures, read_grid, read_records, run_bench
from coopt.bench.engines import Engine, WorkerDied
from coopt.bench.execute import Failed, Result
from coopt.evaluate.record import Record
from tests.bench.compare import comparable
from tests.bench.fake import FULL, FakeEngine, fake_records, fake_run

RUNS = [fake_run(seed, source) for source in ("a", "b") for seed in (1, 2, 3)]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coopt.bench.run, "POLL_SECONDS", 0.01)


def go(folder: Path, engine: Engine, runs: Sequence[Run] = RUNS, reporter: BenchReporter | None = None) -> Outcome:
    return run_bench(runs, BenchFolder(folder), engine, reporter)


def free(folder: Path) -> bool:
    """Whether every claim is given back."""
    locks = sorted((folder / "locks").glob("*.lock"))
    assert locks
    for path in locks:
        with FileLock(path, timeout=0):
            pass
    return True


def test_every_run_is_done_once_and_written_as_it_came(tmp_path: Path) -> None:
    engine = FakeEngine()
    outcome = go(tmp_path, engine)
    assert (outcome.n_runs, outcome.n_before, outcome.n_done, outcome.failed) == (6, 0, 6, [])
    assert sorted(run.id for run in engine.runs) == sorted(run.id for run in RUNS)
    assert comparable(read_records(tmp_path)) == comparable(line for run in RUNS for line in fake_records(run))
    assert {path.stem for path in (tmp_path / "runs").iterdir()} == {run.id for run in RUNS}
    assert free(tmp_path)


def test_starting_again_does_what_is_left(tmp_path: Path) -> None:
    go(tmp_path, FakeEngine(), RUNS[:4])
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    engine = FakeEngine()
    outcome = go(tmp_path, engine)
    assert (outcome.n_before, outcome.n_done) == (4, 2)
    assert {run.id for run in engine.runs} == {run.id for run in RUNS[4:]}
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())


def test_workers_stay_on_a_data_set_and_begin_on_different_ones(tmp_path: Path) -> None:
    runs = [fake_run(seed, source) for source in ("a", "b", "c") for seed in (1, 2, 3, 4)]
    engine = FakeEngine(n_workers=2)
    go(tmp_path, engine, runs)
    by_worker = [[run.source for worker, run in engine.submitted if worker == number] for number in (0, 1)]
    assert by_worker[0][0] != by_worker[1][0]
    for sources in by_worker:
        changes = sum(one != other for one, other in zip(sources, sources[1:], strict=False))
        assert changes == len(set(sources)) - 1  # nobody comes back to what was left


def test_a_failed_run_is_written_down_does_not_stop_the_others_and_is_tried_again(tmp_path: Path) -> None:
    bad = RUNS[1]
    outcome = go(tmp_path, FakeEngine(lambda run: "DataError: no such image" if run.id == bad.id else None))
    assert [(run.id, reason) for run, reason in outcome.failed] == [(bad.id, "DataError: no such image")]
    (failure,) = read_failures(tmp_path)
    assert (failure.run, failure.reason, failure.seed) == (bad.id, "DataError: no such image", 2)
    assert {name: getattr(failure, name) for name in bad.facts()} == bad.facts()
    assert len(read_records(tmp_path)) == 5
    assert free(tmp_path)
    engine = FakeEngine()
    assert go(tmp_path, engine).failed == []
    assert [run.id for run in engine.runs] == [bad.id]
    assert read_failures(tmp_path) == []
    assert len(read_records(tmp_path)) == 6


def test_a_run_whose_worker_dies_begins_again(tmp_path: Path) -> None:
    deaths = iter([WorkerDied("killed"), WorkerDied("killed")])
    engine = FakeEngine(lambda run: next(deaths, None) if run.id == RUNS[2].id else None)
    outcome = go(tmp_path, engine)
    assert outcome.failed == []
    assert [run.id for run in engine.runs].count(RUNS[2].id) == 3
    assert len(engine.replaced) == 2
    assert comparable(read_records(tmp_path)) == comparable(line for run in RUNS for line in fake_records(run))
    assert free(tmp_path)


def test_a_run_that_always_kills_its_worker_fails_after_three_attempts(tmp_path: Path) -> None:
    engine = FakeEngine(lambda run: WorkerDied("killed") if run.id == RUNS[2].id else None)
    outcome = go(tmp_path, engine)
    assert [run.id for run in engine.runs].count(RUNS[2].id) == 3
    assert [(run.id, reason) for run, reason in outcome.failed] == [(RUNS[2].id, "WorkerDied: killed, 3 times")]
    assert outcome.n_done == 5


def test_a_worker_that_is_asked_to_stop_is_replaced(tmp_path: Path) -> None:
    stops = iter([Failed("stopped in epoch 1", interrupted=True)])
    engine = FakeEngine(lambda run: next(stops, None))
    outcome = go(tmp_path, engine)
    assert (outcome.n_done, outcome.failed, len(engine.replaced)) == (6, [], 1)


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), FULL, RuntimeError("a defect")])
def test_whatever_ends_the_call_keeps_what_is_done_and_gives_claims_back(tmp_path: Path, stop: BaseException) -> None:
    def behave(run: Run) -> None:
        if run.id == RUNS[3].id:
            raise stop

    with pytest.raises(type(stop)):
        go(tmp_path, FakeEngine(behave, n_workers=1))
    assert len(read_records(tmp_path)) == 3
    assert free(tmp_path)
    go(tmp_path, FakeEngine())
    assert comparable(read_records(tmp_path)) == comparable(line for run in RUNS for line in fake_records(run))


def test_a_full_disk_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise FULL

    engine = FakeEngine(lambda run: monkeypatch.setattr("os.fsync", full) if run.id == RUNS[2].id else None, 1)
    with pytest.raises(OSError, match="No space left"):
        go(tmp_path, engine)
    monkeypatch.undo()
    assert len(list((tmp_path / "runs").iterdir())) == 2
    assert len(read_records(tmp_path)) == 2
    assert free(tmp_path)


def test_a_result_that_is_no_json_leaves_no_record(tmp_path: Path) -> None:
    engine = FakeEngine(lambda run: Result([replace(fake_records(run)[0], metrics={"accuracy": float("nan")})]))
    with pytest.raises(ValueError, match="JSON"):
        go(tmp_path, engine, RUNS[:1])
    assert list((tmp_path / "runs").iterdir()) == []


def test_another_process_works_on_what_it_claimed_until_it_dies(tmp_path: Path) -> None:
    """What it holds is left to it; when it is killed, the claim comes back without a wait for any clock."""
    (tmp_path / "locks").mkdir()
    lock = tmp_path / "locks" / f"{RUNS[0].key}.lock"
    code = f"import fcntl, time; f = open({str(lock)!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    seen: list[int] = []

    def behave(run: Run) -> None:
        seen.append(len(seen))
        if len(seen) == 5:  # all but the claimed one
            assert run.id != RUNS[0].id
            threading.Timer(0.2, other.kill).start()

    engine = FakeEngine(behave)
    outcome = go(tmp_path, engine)
    other.wait()
    other.stdout.close()
    assert outcome.n_done == 6
    assert engine.runs[-1].id == RUNS[0].id


def test_two_calls_at_once_share_the_work(tmp_path: Path) -> None:
    """The second call begins while the first is in its first run, and ends after it."""
    second = FakeEngine(n_workers=1)
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(go(tmp_path, second)))

    def behave(run: Run) -> None:
        if not thread.ident:
            thread.start()
            while len(second.submitted) < 3:  # until it has done a few of its own
                pass

    first = FakeEngine(behave, n_workers=1)
    outcomes.insert(0, go(tmp_path, first))
    thread.join(timeout=20)
    assert not thread.is_alive()
    ids = [run.id for run in first.runs + second.runs]
    assert sorted(ids) == sorted(run.id for run in RUNS)  # none twice, none left
    assert outcomes[0].n_done + outcomes[1].n_done == 6
    for outcome in outcomes:
        assert outcome.n_done + outcome.n_elsewhere + outcome.n_before == 6
    assert free(tmp_path)


def test_data_sets_added_to_a_transfer_are_tested_in_a_run_of_their_own(tmp_path: Path) -> None:
    go(tmp_path, FakeEngine(), [fake_run(1, "a", ("a", "b"), "cross-dataset")])
    engine = FakeEngine()
    wider = fake_run(1, "a", ("a", "b", "c"), "cross-dataset")
    go(tmp_path, engine, [wider])
    assert [[test.dataset for test in run.tests] for run in engine.runs] == [["c"]]
    assert sorted(line.dataset for line in read_records(tmp_path)) == ["a", "b", "c"]
    assert go(tmp_path, FakeEngine(), [wider]).n_before == 1
    assert go(tmp_path, FakeEngine(), [fake_run(1, "a", ("b", "c"), "cross-dataset")]).n_before == 1


def test_a_part_that_another_process_did_in_the_meantime_is_not_measured_twice(tmp_path: Path) -> None:
    """Planned before the other one, which tested c and d, was done; the report would refuse two records of a cell."""
    go(tmp_path, FakeEngine(), [fake_run(1, "a", ("a", "c"), "cross-dataset")])
    alone = fake_run(1, "a", ("c",), "cross-dataset")
    engine = FakeEngine()
    assert go(tmp_path, engine, [alone]).n_before == 1
    assert engine.runs == []
    assert sorted(line.dataset for line in read_records(tmp_path)) == ["a", "c"]


def test_a_data_set_that_changed_is_tested_again(tmp_path: Path) -> None:
    go(tmp_path, FakeEngine(), [fake_run(1, "a", ("a", "b"), "shift")])
    engine = FakeEngine()
    go(tmp_path, engine, [fake_run(1, "a", ("a", "b"), "shift", digest="1")])
    assert len(engine.runs) == 1


def test_the_grid_says_what_was_asked_for_in_all_calls(tmp_path: Path) -> None:
    go(tmp_path, FakeEngine(), [fake_run(1), fake_run(2)])
    first = (tmp_path / "grid.json").read_bytes()
    go(tmp_path, FakeEngine(), [fake_run(1)])
    assert (tmp_path / "grid.json").read_bytes() == first
    go(tmp_path, FakeEngine(lambda run: "DataError: no"), [fake_run(3), fake_run(1, "b")])
    rows = read_grid(tmp_path)
    assert [(row.source, row.seeds, row.tests) for row in rows] == [
        ("a", (1, 2, 3), (("a", "all"),)),
        ("b", (1,), (("b", "all"),)),
    ]
    assert {name: getattr(rows[0], name) for name in ("protocol", "method", "variant", "shots")} == {
        "protocol": "fewshot",
        "method": "coop",
        "variant": "coop n_ctx=4",
        "shots": 2,
    }


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[str] = []

    class Listener(BenchReporter):
        def planned(self, n_runs: int, n_done: int) -> None:
            told.append(f"planned {n_runs} {n_done}")

        def finished(self, run: Run, lines: Sequence[Record]) -> None:
            told.append(f"finished {len(lines)}")

        def failed(self, run: Run, reason: str) -> None:
            told.append(f"failed {reason}")

        def retried(self, run: Run, reason: str) -> None:
            told.append(f"retried {reason}")

        def note(self, message: str) -> None:
            told.append(message)

    answers = iter([WorkerDied("x"), Result([], ["a note", "a note"]), "E: y"])
    go(tmp_path, FakeEngine(lambda run: next(answers), 1), RUNS[:2], Listener())
    assert told == ["planned 2 0", "retried x", "a note", "finished 0", "failed E: y"]
    assert json.loads((tmp_path / "failed" / f"{RUNS[1].id}.json").read_text())["traceback"] is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_is_heeded_also_where_python_ignores_exceptions(tmp_path: Path) -> None:
    class Destroyed:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)
            for _ in range(100):  # the handler runs here, between two instructions
                pass

    engine = FakeEngine(lambda run: Destroyed() and None)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, engine)
    assert len(engine.submitted) < len(RUNS)
    assert signal.getsignal(signal.SIGINT) is before
    assert free(tmp_path)
    go(tmp_path, FakeEngine())
    assert len(read_records(tmp_path)) == len(RUNS)
