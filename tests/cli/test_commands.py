"""The commands as a user types them: what they print, write and answer to mistakes."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from coopt import PromptClassifier
from coopt.artifacts import load_run
from coopt.cli import main
from coopt.cli.main import COMMANDS, load_command
from coopt.data import load_dataset
from coopt.fit import used_settings
from coopt.methods import METHODS
from tests.pictures import CLASSES, shapes_folder

QUICK = ["--set", "n_ctx=2", "--epochs", "2", "--shots", "3"]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes_folder(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="module")
def run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert call("fit", str(shapes), "--out", str(folder), *QUICK) == 0
    return folder


def call(*arguments: str) -> int:
    """The exit code of a command, run in this process."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return int(stop.value.code or 0)


def call_json(capsys: pytest.CaptureFixture, *arguments: str) -> dict:
    """The JSON that a command prints; it must print nothing else."""
    capsys.readouterr()
    assert call(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture, code: int, *arguments: str) -> str:
    """The message of a command that must fail with `code` and without a traceback."""
    capsys.readouterr()
    assert call(*arguments) == code
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return " ".join(text.split())


def test_fit_says_what_was_learned_where_it_lies_and_what_to_type_next(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert call("fit", str(shapes), "--out", str(tmp_path / "run"), *QUICK) == 0
    out, err = capsys.readouterr()
    assert "Learned 384 numbers from 9 images in 2 epochs." in out
    assert "Test accuracy: " in out and "hand-written prompt 'a photo of a {}.': " in out
    assert f"Next: coopt evaluate {tmp_path / 'run'} {shapes}" in out
    assert "train: 21 images of 3 classes (7 each)" in err
    run = load_run(tmp_path / "run")
    assert run.config["shots"] == 3 and run.config["recipe"]["epochs"] == 2
    assert run.config["data"]["n_train"] == 9 and run.config["data"]["n_test"] == 15
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line.get("epoch") for line in lines] == [1, 2, None]
    assert lines[2]["n_images"] == 15
    assert sorted(os.listdir(tmp_path)) == ["run"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_fits_evaluates_and_predicts(
    method: str, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = str(tmp_path / "run")
    epochs = ["--epochs", "2"] * ("epochs" in used_settings(method))
    ordered = METHODS[method].ordered
    task = ["--task", "ordinal", "--ranks", ",".join(CLASSES)] * ordered
    fitted = call_json(capsys, "fit", str(shapes), "--method", method, "--out", folder, *epochs, *task)
    evaluated = call_json(capsys, "evaluate", folder, str(shapes))
    figures = ("mae_rank", "within", "kappa") if ordered else ("macro_f1", "confusion")
    for key in ("accuracy", "n_images", *figures):
        assert evaluated[key] == fitted["test"][key]
    if ordered:  # an expectation, of logits that are the same to the last bits only
        assert evaluated["mae"] == pytest.approx(fitted["test"]["mae"], rel=1e-5, abs=1e-6)
    predicted = call_json(capsys, "predict", folder, str(shapes / "test"), "--top-k", "3")
    test = load_dataset(str(shapes)).test
    assert test is not None and test.names is not None
    assert len(predicted["predictions"]) == 15
    answers, name = ("ranks", "rank") if ordered else ("predictions", "label")
    hits = sum(row[answers][0][name] in row["image"] for row in predicted["predictions"])
    assert 100 * hits / 15 == pytest.approx(evaluated["accuracy"])
    assert all(sum(p["score"] for p in row[answers]) == pytest.approx(1, abs=1e-4) for row in predicted["predictions"])


def test_the_same_command_gives_the_same_run(shapes: Path, run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert call("fit", str(shapes), "--out", str(again), *QUICK) == 0
    for name in ("adapter_model.safetensors", "classifier.safetensors", "adapter_config.json"):
        assert (again / name).read_bytes() == (run / name).read_bytes()


def test_evaluate_prints_tables(run: Path, shapes: Path, capsys: pytest.CaptureFixture) -> None:
    capsys.readouterr()
    assert call("evaluate", str(run), str(shapes)) == 0
    out = capsys.readouterr().out
    for part in ("Accuracy", "95% interval", "macro F1", "calibration error", "Per class", "Confusion", *CLASSES):
        assert part in out


def test_evaluate_without_a_split_tests_on_what_was_not_trained_on(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    flat = shapes / "train"
    for seed in ("0", "5"):
        folder = str(tmp_path / f"run{seed}")
        fitted = call_json(capsys, "fit", str(flat), "--out", folder, "--seed", seed, *QUICK)
        evaluated = call_json(capsys, "evaluate", folder, str(flat))
        assert evaluated["confusion"] == fitted["test"]["confusion"]
        assert (evaluated["n_trained_on"], evaluated["n_images"]) == (0, fitted["test"]["n_images"])
        assert f"seed {seed}" in evaluated["part"]
        everything = call_json(capsys, "evaluate", folder, str(flat), "--split", "all")
        assert (everything["n_trained_on"], everything["n_images"]) == (9, 21)


def test_evaluate_on_other_images_takes_all_of_them(
    run: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Also where file names agree by chance with those of the training images."""
    assert call_json(capsys, "evaluate", str(run), str(shapes / "test"))["n_images"] == 15
    flat = str(tmp_path / "run")
    call_json(capsys, "fit", str(shapes / "train"), "--out", flat, *QUICK)
    other = call_json(capsys, "evaluate", flat, str(shapes / "test"))
    assert (other["n_images"], other["n_trained_on"]) == (15, 0)


def test_evaluate_finds_each_class_by_its_label(
    run: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A folder with two of the three classes: its label 0 is the run's class 1."""
    for kind in ("square", "triangle"):
        shutil.copytree(shapes / "test" / kind, tmp_path / "part" / kind)
    part = call_json(capsys, "evaluate", str(run), str(tmp_path / "part"))
    whole = call_json(capsys, "evaluate", str(run), str(shapes))
    assert part["confusion"] == [[0, 0, 0], *whole["confusion"][1:]]


def test_evaluating_a_run_that_saw_everything_says_so(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    classifier = PromptClassifier(n_ctx=2, epochs=1, shots=7).fit(str(shapes / "train"))
    folder = str(classifier.save(tmp_path / "run"))
    assert call_json(capsys, "evaluate", folder, str(shapes / "train"))["n_trained_on"] == 21
    assert call("evaluate", folder, str(shapes / "train")) == 0
    assert "21 of these 21 images were trained on" in capsys.readouterr().err


def test_names_with_brackets_are_printed_as_they_are(
    run: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    shutil.copy(shapes / "test" / "circle" / "0.png", tmp_path / "cat [copy].png")
    folder = tmp_path / "x["
    folder.mkdir()
    shutil.copy(shapes / "test" / "circle" / "0.png", folder / "y].png")
    assert call("predict", str(run), str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "cat [copy].png" in out and "x[/y].png" in out


def test_what_would_fail_after_training_fails_before_it(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    message = refused(capsys, 5, "fit", str(shapes), "--out", str(tmp_path / "file" / "run"))
    assert "cannot be made" in message and "is a file" in message
    assert "must contain '{}'" in refused(
        capsys, 2, "fit", str(shapes), "--template", "{a}", "--out", str(tmp_path / "r")
    )
    assert "--seed is" in refused(capsys, 2, "fit", str(shapes), "--seed", str(2**63), "--out", str(tmp_path / "r"))


def test_resume_says_when_there_is_nothing_to_resume(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "run"
    notes = call_json(capsys, "fit", str(shapes), "--out", str(folder), "--resume", *QUICK)["notes"]
    assert any("nothing to resume" in note for note in notes)
    partial = tmp_path / "other.partial"
    partial.mkdir()
    (partial / "checkpoint.safetensors").write_bytes(b"")
    notes = call_json(capsys, "fit", str(shapes), "--out", str(tmp_path / "other"), *QUICK)["notes"]
    assert any("is of an interrupted run; it is replaced" in note for note in notes)


def test_predict_writes_tables_and_reports_what_it_cannot_read(
    run: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    Image.open(shapes / "test" / "circle" / "0.png").save(images / "good.jpg")
    (images / "bad.jpg").write_bytes(b"nothing")
    output = tmp_path / "out.csv"
    assert call("predict", str(run), str(images), "--output", str(output), "--top-k", "2") == 0
    out, err = capsys.readouterr()
    assert "Wrote 1 predictions" in out and "1 skipped" in out and "bad.jpg" in err
    rows = list(csv.DictReader(output.read_text().splitlines()))
    assert [(row["image"], row["rank"]) for row in rows] == [("good.jpg", "1"), ("good.jpg", "2")]
    assert float(rows[0]["score"]) >= float(rows[1]["score"])
    assert call("predict", str(run), str(images / "good.jpg"), "--output", str(tmp_path / "out.json")) == 0
    assert json.loads((tmp_path / "out.json").read_text())[0]["predictions"][0]["label"] == rows[0]["label"]
    assert "bad.jpg" in refused(capsys, 3, "predict", str(run), str(images), "--strict")
    assert "must end in .csv or .json" in refused(
        capsys, 2, "predict", str(run), str(images), "--output", str(tmp_path / "out.txt")
    )


def test_predict_takes_new_class_names(run: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    image = str(shapes / "test" / "circle" / "0.png")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "twice.txt").write_text("cat\ncat\ndog\n")
    assert "has 0 names" in refused(capsys, 3, "predict", str(run), image, "--class-names", str(tmp_path / "empty.txt"))
    assert "repeated: cat" in refused(
        capsys, 5, "predict", str(run), image, "--class-names", str(tmp_path / "twice.txt")
    )
    (tmp_path / "names.txt").write_text("ball\nhouse\ntree\nfish\n")
    (tmp_path / "names.json").write_text(json.dumps({"a": "ball", "b": "house", "c": "tree", "d": "fish"}))
    (tmp_path / "list.json").write_text(json.dumps(["ball", "house", "tree", "fish"]))
    found = [
        call_json(capsys, "predict", str(run), image, "--top-k", "9", "--class-names", str(tmp_path / name))
        for name in ("names.txt", "names.json", "list.json")
    ]
    assert found[0] == found[2]
    answers = [row["predictions"][0]["predictions"] for row in found]
    assert [p["words"] for p in answers[1]] == [p["words"] for p in answers[0]] == [p["label"] for p in answers[0]]
    assert {(p["label"], p["words"]) for p in answers[1]} == {
        ("a", "ball"),
        ("b", "house"),
        ("c", "tree"),
        ("d", "fish"),
    }


def test_words(run: Path, capsys: pytest.CaptureFixture) -> None:
    found = call_json(capsys, "words", str(run), "--top-k", "4")
    assert [len(row) for row in found["words"]] == [4, 4]
    assert all(row[0]["distance"] <= row[1]["distance"] for row in found["words"])
    assert len(found["norms"]) == 2
    assert call("words", str(run)) == 0
    assert "nearest words" in capsys.readouterr().out


def test_lists(capsys: pytest.CaptureFixture) -> None:
    capsys.readouterr()
    assert call("methods", "--json") == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == list(METHODS)
    assert call("models", "--json") == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert listed["builtin"]["on_this_machine"] is True
    assert {"RN50", "RN50x64", "ViT-B/16", "ViT-L/14@336px", "openai/clip-vit-base-patch16"} <= set(listed)
    assert call("models") == 0 and call("methods") == 0
    out = capsys.readouterr().out
    assert "ViT-B/16" in out and "linear-probe" in out


@pytest.mark.parametrize("command", ["fit", "predict", "evaluate", "words", "methods", "models", "demo"])
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture) -> None:
    capsys.readouterr()
    assert call(command, "--help") == 0
    assert f"Example: coopt {command}" in " ".join(capsys.readouterr().out.split())


def test_mistakes_are_answered_with_a_message_and_a_code(
    run: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data, out = str(shapes), ["--out", "new"]
    assert "does not exist" in refused(capsys, 3, "fit", data + "x", *out)
    assert "no method 'copo'" in refused(capsys, 2, "fit", data, "--method", "copo", *out)
    assert "no setting 'n_cxt'" in refused(capsys, 2, "fit", data, "--set", "n_cxt=4", *out)
    assert "momentum is 'abc'; allowed is a number" in refused(capsys, 2, "fit", data, "--set", "momentum=abc", *out)
    assert "nesterov is 'maybe'; allowed is true or false" in refused(
        capsys, 2, "fit", data, "--set", "nesterov=maybe", *out
    )
    assert "lr is -1.0" in refused(capsys, 2, "fit", data, "--lr", "-1", *out)
    assert "--shots is '0'" in refused(capsys, 2, "fit", data, "--shots", "0", *out)
    assert "views is 'many'" in refused(capsys, 2, "fit", data, "--views", "many", *out)
    assert "coopt models" in refused(capsys, 4, "fit", data, "--model", "ViT-B/61", *out)
    assert "already holds a run" in refused(capsys, 5, "fit", data, "--out", str(run))
    assert "no run folder" in refused(capsys, 5, "evaluate", "nowhere", data)
    assert "are not image files" in refused(capsys, 3, "predict", str(run), "a.jpg", "b.jpg")
    assert "'val'" in refused(capsys, 2, "evaluate", str(run), data, "--split", "val")
    assert refused(capsys, 2, "fit")  # a missing argument
    assert os.listdir(tmp_path) == []


def test_json_errors_and_debug(shapes: Path, capsys: pytest.CaptureFixture) -> None:
    capsys.readouterr()
    assert call("fit", str(shapes), "--method", "copo", "--json") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err)["kind"] == "ConfigError" and json.loads(err)["exit_code"] == 2
    with pytest.raises(Exception, match="no method 'copo'"):
        main(["fit", str(shapes), "--method", "copo", "--debug"])


def test_another_backbone_is_refused(run: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from tests.models.folders import clip_folder  # a tiny CLIP in transformers' format

    clip_folder(tmp_path / "other")
    message = refused(capsys, 5, "evaluate", str(run), str(shapes), "--model", str(tmp_path / "other"))
    assert "other weights or another preprocessing" in message


LONG = ["--set", "n_ctx=2", "--shots", "7", "--epochs", "60", "--batch-size", "3"]


@pytest.fixture(scope="module")
def whole(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long") / "whole"
    assert call("fit", str(shapes), "--out", str(folder), *LONG) == 0
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_fit_resumes_to_the_run_it_would_have_been(
    shapes: Path, whole: Path, tmp_path: Path, number: int
) -> None:
    """A real process, a real signal, and byte-equal tensors afterwards."""
    cut = tmp_path / "cut"
    # A test run that ignores the signal, as under `nohup` or in the background, hands that down.
    default = "default_int_handler" if number == signal.SIGINT else "SIG_DFL"
    code = f"import signal; signal.signal({number:d}, signal.{default}); from coopt.cli import main; main()"
    command = [sys.executable, "-c", code, "fit", str(shapes), "--out", str(cut)]
    with subprocess.Popen([*command, *LONG], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 15/"):
                break
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(60) == 130
    assert "--resume" in rest
    assert not cut.exists() and (tmp_path / "cut.partial" / "checkpoint.safetensors").is_file()
    assert call("fit", str(shapes), "--out", str(cut), *LONG, "--resume") == 0
    for name in ("adapter_model.safetensors", "classifier.safetensors"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
    assert not (tmp_path / "cut.partial").exists()


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_no_heavy_library_is_imported_for_the_list_of_commands(option: str) -> None:
    """They take seconds, and only commands need them."""
    program = f"""
import sys
from coopt.cli import main
from coopt.cli.main import COMMANDS, load_command
try:
    main([{option!r}])
finally:
    print("imported", sorted({{"torch", "sklearn", "scipy", "transformers", "pyarrow"}} & set(sys.modules)))
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "imported []" and len(out.splitlines()) > 1


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_their_own_help_says(name: str) -> None:
    assert load_command(name).help.split("\n\n")[0].replace("\n", " ").strip() == COMMANDS[name]
