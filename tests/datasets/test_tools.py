"""The scripts that write data sets into class folders."""

import importlib.util
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from coopt.data import load_dataset
from tests.data.data_helpers import picture, png

TOOLS = Path(__file__).parents[2] / "tools"


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_digits(tmp_path: Path) -> None:
    out = tmp_path / "digits"
    assert tool("digits").write_digits(out) == {"train": 1258, "test": 539}
    splits = load_dataset(out, class_names=out / "class_names.json")
    assert splits.class_names == ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    assert len(splits.train) == 1258 and len(splits.test) == 539 and splits.val is None
    digits = load_digits()
    for index in (0, 700, 1257):
        number = int(Path(splits.train.name(index)).stem)
        assert splits.train.labels[index] == digits.target[number]
        small = np.asarray(splits.train.load(index).resize((8, 8), Image.Resampling.BOX))[:, :, 0]
        assert np.corrcoef(small.ravel(), -digits.images[number].ravel())[0, 1] > 0.97


def test_textiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "package.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("conformal_clip_data-0.1.4.dist-info/licenses/LICENSE", "MIT")
        for name, n in {"nominal": 10, "local": 5, "global": 5}.items():
            for index in range(n):
                member = f"conformal_clip_data/data/textile_images/simulated/{name}/textile_{index:04d}.jpg"
                archive.writestr(member, png(picture(index)))
    monkeypatch.setattr(sys, "argv", ["textiles", str(tmp_path / "out"), "--wheel", str(wheel)])
    tool("textiles").main()
    splits = load_dataset(tmp_path / "out", class_names=tmp_path / "out/class_names.json")
    assert splits.train.class_labels == ["global", "local", "nominal"]
    assert splits.class_names[2] == "textile without a defect"
    assert splits.train.class_counts().tolist() == [4, 4, 7] and len(splits.test) == 5
    assert (tmp_path / "out/LICENSE").read_text() == "MIT"


@pytest.mark.parametrize("name", ["digits", "textiles"])
def test_an_existing_folder_is_left_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    monkeypatch.setattr(sys, "argv", [name, str(tmp_path)])
    with pytest.raises(SystemExit):
        tool(name).main()
    assert "exists already; remove it or name another folder" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "keep"
