"""What `coopt fit` says of data without a test part, of schedules that learn nothing, and where learning does not pay."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from coopt.artifacts import load_run
from coopt.cli import main
from coopt.data import load_dataset, split_dataset
from coopt.errors import RunError
from coopt.fit.signals import stop_on_signal
from tests.pictures import CLASSES, shapes_folder

QUICK = ["--set", "n_ctx=2", "--shots", "2", "--epochs", "2"]


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes_folder(tmp_path_factory.mktemp("notes") / "shapes")


def flat(shapes: Path, folder: Path, counts: tuple[int, int, int]) -> Path:
    """A folder per class with so many images, in no parts."""
    for name, n in zip(CLASSES, counts, strict=True):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            shutil.copy(shapes / "train" / name / f"{i}.png", folder / name)
    return folder


def test_one_image_per_class_is_enough_to_learn(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data = flat(shapes, tmp_path / "one", (1, 1, 1))
    assert call("fit", str(data), "--out", str(tmp_path / "run"), *QUICK) == 0
    out, err = capsys.readouterr()
    assert "Learned 384 numbers from 3 images in 2 epochs." in out
    assert "Nothing was tested: the data has no labelled test images." in out
    assert f"Next: coopt predict {tmp_path / 'run'} {data}" in out
    assert load_run(tmp_path / "run").config["data"]["n_test"] == 0
    assert call("fit", str(data), "--out", str(tmp_path / "run"), *QUICK, "--overwrite", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["test"] is None and told["zero_shot"] is None and "Nothing was tested" in told["notes"][-1]


def test_a_class_with_one_image_learns_and_the_others_are_tested(shapes: Path, tmp_path: Path) -> None:
    splits = load_dataset(flat(shapes, tmp_path / "few", (5, 1, 4)))
    assert splits.train is not None and splits.test is not None
    assert splits.train.class_counts().tolist()[1] == 1 and splits.test.class_counts().tolist()[1] == 0
    assert all(splits.test.class_counts()[[0, 2]] > 0)
    assert any("no images of: 'square'" in note for note in splits.notes)
    one_each = load_dataset(flat(shapes, tmp_path / "one", (1, 1, 1)), make_split=False).whole()
    made = split_dataset(one_each)
    assert (len(made.train or []), made.val, made.test) == (3, None, None)


@pytest.mark.parametrize("method", ["zero-shot", "tpt"])
def test_images_without_labels_are_enough_for_a_method_that_learns_nothing(
    method: str, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    images = str(shapes / "test" / "circle")
    names = tmp_path / "names.json"
    names.write_text('["circle", "square", "triangle"]')
    few = ["--set", "n_views=3"] if method == "tpt" else []
    run = str(tmp_path / "run")
    assert call("fit", images, "--method", method, "--class-names", str(names), "--out", run, *few) == 0
    assert "Nothing was tested" in capsys.readouterr().out
    assert call("predict", run, images, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["predictions"]) == 5
    assert call("fit", images, "--method", method, "--out", run + "2", *few) == 3
    assert "--class-names FILE" in capsys.readouterr().err
    assert call("fit", images, "--class-names", str(names), "--out", run + "3") == 3  # coop needs labels


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--epochs", "1"], "the only epoch is warm-up, at the learning rate 1e-05 in place of 0.002"),
        (["--epochs", "2", "--set", "warmup_epochs=3"], "all 2 epochs are warm-up"),
        (["--epochs", "2"], None),
        (["--epochs", "1", "--set", "warmup_epochs=0"], None),
    ],
)
def test_a_schedule_that_is_all_warm_up(
    options: list[str], says: str | None, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["fit", str(shapes), "--out", str(tmp_path / "run"), "--shots", "2", "--set", "n_ctx=2", *options]
    assert call(*words) == 0
    out, err = (" ".join(text.split()) for text in capsys.readouterr())
    assert says in err if says else "warm-up" not in err
    assert "in 1 epoch." in out or "in 2 epochs." in out
    assert "VLM(" not in err and "model: builtin (48 pixels, 192 numbers per image) on cpu" in err


def test_the_hint_where_learning_does_not_pay(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Told by the validation part, and without one by cross-validation."""
    harm = ["--shots", "4", "--epochs", "2", "--method", "tests.cli.own_method:Wrong"]
    with_val = tmp_path / "parts"
    shutil.copytree(shapes, with_val)
    shutil.copytree(shapes / "test", with_val / "val")
    for data, images in ((with_val, "12 validation images"), (shapes, "12 shots, each left out in one of 4 trainings")):
        assert call("fit", str(data), "--out", str(tmp_path / "run"), "--overwrite", *harm) == 0
        out, err = (" ".join(text.split()) for text in capsys.readouterr())
        assert "note: learning does not pay here: accuracy" in err and images in err, err
        assert "--method zero-shot" in err


def test_a_method_of_ones_own_shows_its_words_with_trust(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run = str(tmp_path / "run")
    assert call("fit", str(shapes), "--out", run, "--method", "tests.cli.own_method:Own", *QUICK) == 0
    capsys.readouterr()
    assert call("words", run) == 5
    assert "--trust-code" in capsys.readouterr().err
    assert call("words", run, "--trust-code", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["words"]) == 2


def test_a_run_starts_the_method_inside_another_one(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    start = str(tmp_path / "start")
    assert call("fit", str(shapes), "--out", start, *QUICK) == 0
    around = ["--method", "tests.cli.own_method:Around", "--set", "base=tpt", "--set", "base.n_views=2"]
    words = ["fit", str(shapes), "--out", str(tmp_path / "run"), "--shots", "2", "--epochs", "2", *around]
    assert call(*words, "--set", f"base.ctx_from={start}") == 0
    kept, first = load_run(tmp_path / "run", trust_code=True), load_run(start)
    assert kept.tensors["base.ctx"].equal(first.tensors["ctx"])
    assert kept.config["settings"]["base"]["ctx_from"] is None  # the run holds the vectors themselves
    assert call(*words, "--overwrite", "--set", f"base.ctx_from={tmp_path / 'none'}") == 2
    assert "ctx_from is" in capsys.readouterr().err


def test_epochs_of_several_trainings_say_which(shapes: Path, tmp_path: Path) -> None:
    def lines(name: str, method: str) -> list[dict]:
        words = ["fit", str(shapes), "--out", str(tmp_path / name), "--shots", "2", "--epochs", "2"]
        assert call(*words, "--method", method) == 0
        text = (tmp_path / name / "metrics.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    several = [line for line in lines("several", "tests.cli.own_method:Twice") if "epoch" in line]
    assert [(line["training"], line["epoch"]) for line in several] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert all("training" not in line for line in lines("one", "tests.cli.own_method:Own"))


def test_a_process_that_ignores_hang_ups_goes_on_doing_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        with stop_on_signal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)
    with stop_on_signal() as stop:
        for _ in range(2):  # a terminal that closes may send two
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.is_set()


def test_a_closed_terminal_ends_a_benchmark_cleanly(tmp_path: Path) -> None:
    from tests.bench.pictures import write_data

    words = ["bench", "fewshot", "--datasets", "signs", "--data-file", str(write_data(tmp_path / "data"))]
    words += ["--out", str(tmp_path / "bench"), "--shots", "1", "--seeds", "1", "--workers", "0"]
    words += ["--methods", "zero-shot; coop n_ctx=2, epochs=20000"]
    # A test run that ignores the signal, as under `nohup`, hands that down.
    code = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); from coopt.cli import main; main({words!r})"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("[1/2]"):
                break
        process.send_signal(signal.SIGHUP)
        rest = process.stderr.read()
        assert process.wait(60) == 130
    assert "Interrupted: 1 of 2 runs are done. Type the same command to go on." in " ".join(rest.split())
    assert len(list((tmp_path / "bench" / "runs").glob("*.jsonl"))) == 1


def test_a_missing_run_is_told(capsys: pytest.CaptureFixture) -> None:
    assert call("words", "nowhere", "--json") == 5
    assert json.loads(capsys.readouterr().err)["kind"] == RunError.__name__
