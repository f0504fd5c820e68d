"""ZeroShot against golden numbers of the authors' zero-shot trainers, and what its templates accept."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from coopt.errors import ConfigError
from coopt.methods import ZeroShot
from coopt.prompting import TEMPLATES, read_templates
from tests.goldens.golden import assert_close, golden_cases, golden_tensor, golden_vlm

CASES = {name: case for name, case in golden_cases("features").items() if name.startswith("ZeroshotCLIP")}


@pytest.mark.parametrize("name", CASES)
def test_matches_the_authors_code(name: str) -> None:
    meta, golden = CASES[name]
    vlm = golden_vlm(meta["model"])
    method = ZeroShot(vlm, meta["classnames"], templates=meta["templates"])
    assert_close(method.class_features(), golden["text_features"], 1e-5)
    with torch.no_grad():
        features = vlm.encode_image(golden_tensor(meta["inputs"]["images"]))
    assert_close(method(features), golden["logits"], 1e-4)


def test_there_are_single_templates_and_ensembles_among_the_cases() -> None:
    assert {len(meta["templates"]) for meta, _ in CASES.values()} >= {1, 3}


def test_an_ensemble_is_normalise_average_normalise() -> None:
    vlm, names = golden_vlm("vit_b"), ["tea", "barn_owl"]
    single = [ZeroShot(vlm, names, templates=t).class_features() for t in ("a {}.", "the {}.", "{} texture.")]
    expected = F.normalize(torch.stack(single).mean(0), dim=-1)
    both = ZeroShot(vlm, names, templates=["a {}.", "the {}.", "{} texture."]).class_features()
    assert torch.allclose(both, expected, atol=1e-6)
    assert not torch.allclose(both, single[0], atol=1e-3)


def test_templates_by_name_file_and_list(tmp_path: Path) -> None:
    assert len(read_templates("imagenet-7")) == 7
    assert read_templates("dtd") == ["{} texture."]
    assert read_templates("a {}.") == ["a {}."]
    lines, listed = tmp_path / "templates.txt", tmp_path / "templates.json"
    lines.write_text("a {}.\n\n  the {}.  \n")
    listed.write_text(json.dumps(["a {}.", "the {}."]))
    assert read_templates(lines) == read_templates(str(listed)) == ["a {}.", "the {}."]
    assert all(read_templates(name) == TEMPLATES[name] for name in TEMPLATES)


def test_templates_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nor a known name, nor a file.*Did you mean 'imagenet-7'"):
        read_templates("imagenet7")
    with pytest.raises(ConfigError, match=r"'a \{\} and \{\}' must contain '\{\}' exactly once"):
        read_templates("a {} and {}")
    with pytest.raises(ConfigError, match=r"'a \{name\}' must contain"):
        read_templates(["a {name}"])
    with pytest.raises(ConfigError, match="list of templates is empty"):
        read_templates([])
    broken = tmp_path / "broken.json"
    broken.write_text("[")
    with pytest.raises(ConfigError, match=r"broken\.json' is not readable JSON"):
        read_templates(broken)
    broken.write_text('{"a": 1}')
    with pytest.raises(ConfigError, match="must hold a JSON list"):
        read_templates(broken)
