"""Checkpoints of other projects: files as their trainers write them become the methods whose goldens they hold."""

import collections
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from coopt.artifacts import import_checkpoint
from coopt.errors import ConfigError, DataError, ModelError
from coopt.methods import Method
from coopt.models.unpickle import _view
from tests.artifacts.foreign import save_checkpoint, state_of
from tests.goldens.golden import assert_close, golden_cases, golden_tensor, golden_vlm
from tests.methods.tip_cases import tip_case

TOPICS = {
    topic: golden_cases(topic) for topic in ("coop", "cocoop", "kgcoop", "prograd", "maple", "ivlp", "vpt", "promptsrc")
}
CASES = [
    ("coop", "vit_a_P1_uni_end_rand16"),
    ("coop", "vit_b_P2_uni_front_words4_underscored"),
    *[("coop", name) for name in TOPICS["coop"] if "csc" in name and "rand" in name][:2],
    *[("coop", name) for name in TOPICS["coop"] if "middle" in name][:2],
    *[(topic, name) for topic in ("cocoop", "kgcoop") for name in list(TOPICS[topic])[:3]],
    *[
        (topic, name)
        for topic in ("prograd", "maple", "ivlp", "vpt", "promptsrc")
        for name, (_, golden) in TOPICS[topic].items()
        if any(key.startswith("after.") for key in golden) and not any(key.startswith("head.") for key in golden)
    ],
]


def logits_of(method: Method, meta: dict) -> torch.Tensor:
    images = golden_tensor(meta["inputs"]["images"])[0]
    with torch.no_grad():
        return method(images if method.inputs.kind == "pixels" else method.vlm.encode_image(images))


def settings_of(topic: str, meta: dict) -> dict:
    if topic == "coop":
        return {"position": meta["class_token_position"]}
    if topic == "prograd":
        return {"position": meta["cfg"].get("CLASS_TOKEN_POSITION", "end")}
    return {}


@pytest.mark.parametrize(("topic", "name"), CASES)
def test_predicts_as_the_authors_code_does(topic: str, name: str, tmp_path: Path) -> None:
    meta, golden = TOPICS[topic][name]
    file = save_checkpoint(tmp_path / "prompt_learner" / "model.pth.tar-50", state_of(topic, meta, golden))
    method = "prograd" if topic == "prograd" else None
    imported = import_checkpoint(
        file, meta["classnames"], golden_vlm(meta["model"]), method=method, settings=settings_of(topic, meta)
    )
    assert imported.method.key == topic
    assert imported.details["imported"]["epoch"] == 50
    assert_close(logits_of(imported.method, meta), golden["logits_after"], 1e-3 if topic == "maple" else 1e-4)


@pytest.mark.parametrize(("topic", "legacy"), [("coop", False), ("coop", True), ("maple", False), ("promptsrc", False)])
def test_half_precision_and_the_old_file_format(topic: str, legacy: bool, tmp_path: Path) -> None:
    name = next(name for case, name in CASES if case == topic)
    meta, golden = TOPICS[topic][name]
    options = {"_use_new_zipfile_serialization": False} if legacy else {}
    file = save_checkpoint(
        tmp_path / "model-best.pth.tar",
        state_of(topic, meta, golden),
        half=True,
        val_result=np.float64(81.5),
        **options,
    )
    imported = import_checkpoint(file, meta["classnames"], golden_vlm(meta["model"]), settings=settings_of(topic, meta))
    assert all(tensor.dtype == torch.float32 for tensor in imported.method.state_dict().values())
    assert_close(logits_of(imported.method, meta), golden["logits_after"], 2e-2)


def test_what_is_left_out_and_found_is_said(tmp_path: Path) -> None:
    meta, golden = TOPICS["kgcoop"][next(iter(TOPICS["kgcoop"]))]
    state = {f"module.{name}": tensor for name, tensor in state_of("kgcoop", meta, golden).items()}
    file = save_checkpoint(tmp_path / "model.pth.tar-100", state, epoch=100)
    imported = import_checkpoint(file, meta["classnames"], golden_vlm(meta["model"]))
    assert imported.method.settings["n_ctx"] == 4 and imported.method.settings["ctx_init"] is None
    assert imported.notes == [
        "left out, as they belong to the class names: token_prefix, token_suffix",
        "left out, as the authors' prediction does not use them: bias_vectors, meta_net.linear1.weight",
    ]


def test_words_that_stay_fixed_are_found(tmp_path: Path) -> None:
    """Two vectors of "a photo of a" are learned: "of a" stands in the checkpoint's token embeddings."""
    name = "vit_a_P1_n_ctx2_prompt_depth3"
    meta, golden = TOPICS["maple"][name]
    file = save_checkpoint(tmp_path / "model.pth.tar-5", state_of("maple", meta, golden))
    imported = import_checkpoint(file, meta["classnames"], golden_vlm("vit_a"))
    assert imported.method.settings["ctx_init"] == "a photo of a"
    with pytest.raises(ConfigError, match="ctx_init is 'this is the', but .* has 'of a' between its 2 learned vectors"):
        import_checkpoint(file, meta["classnames"], golden_vlm("vit_a"), settings={"ctx_init": "this is the"})
    state = {name: value for name, value in state_of("maple", meta, golden).items() if "token_" not in name}
    bare = save_checkpoint(tmp_path / "bare" / "model.pth.tar-5", state)
    with pytest.raises(ConfigError, match="does not say: the setting ctx_init: the words that the prompt started from"):
        import_checkpoint(bare, meta["classnames"], golden_vlm("vit_a"))
    imported = import_checkpoint(bare, meta["classnames"], golden_vlm("vit_a"), settings=["ctx_init=a photo of a"])
    assert_close(logits_of(imported.method, meta), golden["logits_after"], 1e-4)
    assert "cannot be checked" in imported.notes[-1]


def test_what_the_tensors_do_not_say_is_asked_for_at_once(coop_file: Path) -> None:
    with pytest.raises(ConfigError) as error:
        import_checkpoint(coop_file, None, None)
    for part in (
        "(class_names)",
        "(model)",
        "position: where the class name stood",
        "settings={'position': ...}",
    ):
        assert part in str(error.value)
    with pytest.raises(ConfigError, match="The checkpoint's tensors say n_ctx=16 of coop; leave n_ctx out"):
        import_checkpoint(coop_file, NAMES, golden_vlm("vit_a"), settings={"n_ctx": 4, "position": "end"})
    with pytest.raises(ConfigError, match="'coop' has no setting 'positoin'"):
        import_checkpoint(coop_file, NAMES, golden_vlm("vit_a"), settings=["positoin=end"])
    with pytest.raises(ConfigError, match="method is 'maple', but .* holds the tensors of coop or prograd or kgcoop"):
        import_checkpoint(coop_file, NAMES, golden_vlm("vit_a"), method="maple")
    with pytest.raises(ConfigError, match="method is 'copo'; checkpoints of coop, .*Did you mean 'coop'"):
        import_checkpoint(coop_file, NAMES, golden_vlm("vit_a"), method="copo")


NAMES = TOPICS["coop"]["vit_a_P1_uni_end_rand16"][0]["classnames"]
SETTINGS = {"position": "end"}


@pytest.fixture
def coop_file(tmp_path: Path) -> Path:
    return save_checkpoint(
        tmp_path / "prompt_learner" / "model.pth.tar-50", state_of("coop", *TOPICS["coop"]["vit_a_P1_uni_end_rand16"])
    )


def test_class_names_are_held_to_the_checkpoint(coop_file: Path) -> None:
    vlm = golden_vlm("vit_a")
    with pytest.raises(DataError, match="There are 5 class names, but .* was trained for 6 classes"):
        import_checkpoint(coop_file, NAMES[:5], vlm, settings=SETTINGS)
    swapped = [NAMES[1], NAMES[0], *NAMES[2:]]
    with pytest.raises(
        DataError, match="2 of 6 .*class 1 of the checkpoint is 'golden retriever', the list has 'Boeing"
    ):
        import_checkpoint(coop_file, swapped, vlm, settings=SETTINGS)
    spelled = [name.upper().replace(" ", "_") for name in NAMES]  # the same words to the tokenizer
    assert import_checkpoint(coop_file, spelled, vlm, settings=SETTINGS).method.class_names == spelled


def test_another_model_is_refused(coop_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="trained with another model than .*ctx has a width of 128, the model's is 64"):
        import_checkpoint(coop_file, NAMES, golden_vlm("vit_b"), settings=SETTINGS)
    state = state_of("coop", *TOPICS["coop"]["vit_a_P1_uni_end_rand16"])
    other = save_checkpoint(tmp_path / "x", state | {"token_prefix": state["token_prefix"] + 0.1})
    with pytest.raises(
        ModelError, match="the start token's embedding differs. Give the model that it was trained with"
    ):
        import_checkpoint(other, NAMES, golden_vlm("vit_a"), settings=SETTINGS)
    meta, golden = TOPICS["vpt"][next(name for case, name in CASES if case == "vpt")]
    state = state_of("vpt", meta, golden)
    state["image_encoder.ln_post.weight"] = state["image_encoder.ln_post.weight"] + 0.1
    other = save_checkpoint(tmp_path / "y", state)
    with pytest.raises(ModelError, match="image_encoder.ln_post.weight differs"):
        import_checkpoint(other, meta["classnames"], golden_vlm(meta["model"]))


def test_other_architectures_are_refused(tmp_path: Path) -> None:
    vlm, width = golden_vlm("vit_a"), 128
    meta, golden = TOPICS["ivlp"][next(name for case, name in CASES if case == "ivlp")]
    states = {
        "these are not known, .*: adapter.fc.0.weight": {"adapter.fc.0.weight": torch.randn(8, 32)},
        "these are not known, .*: text_encoder.transformer.resblocks.0.adapter.w": state_of("ivlp", meta, golden)
        | {"text_encoder.transformer.resblocks.0.adapter.w": torch.randn(3)},
        "in the blocks \\[2\\] after the first": {
            "prompt_learner.ctx": torch.randn(2, width),
            "text_encoder.transformer.resblocks.2.VPT_shallow": torch.randn(2, width),
            "logit_scale": torch.tensor(4.6),
        },
        "nothing that was learned": {"logit_scale": torch.tensor(4.6)},
        "its context has the shape \\(3,\\)": {"ctx": torch.randn(3)},
        "do not go together: compound_prompts_text.0, proj.bias, proj.weight": {
            "ctx": torch.randn(2, width),
            "proj.weight": torch.randn(2, 2),
            "proj.bias": torch.randn(2),
            "compound_prompts_text.0": torch.randn(2, width),
        },
        "its tensor 'ctx' holds numbers that are not finite: the training diverged": {
            "ctx": torch.full((2, 3), torch.nan)
        },
        "its state dict holds no tensors": {},
    }
    for number, (message, state) in enumerate(states.items()):
        file = save_checkpoint(tmp_path / f"model.pth.tar-{number}", state)
        if not state:
            torch.save({"state_dict": {"a": 1}}, file)
        with pytest.raises(ModelError, match=message):
            import_checkpoint(file, ["a", "b"], vlm, settings={"position": "end"} if set(state) == {"ctx"} else ())


def test_a_cut_file_is_refused_at_every_length(coop_file: Path, tmp_path: Path) -> None:
    whole = coop_file.read_bytes()
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        torch.save(torch.load(coop_file, weights_only=False), coop_file, **options)
        whole = coop_file.read_bytes()
        for length in (0, 3, 100, len(whole) // 2, len(whole) - 7):
            cut = tmp_path / "cut.pth.tar"
            cut.write_bytes(whole[:length])
            with pytest.raises(ModelError, match="cut.pth.tar"):
                import_checkpoint(cut, NAMES, golden_vlm("vit_a"), settings=SETTINGS)
    with pytest.raises(ModelError, match="there is no checkpoint file"):
        import_checkpoint(tmp_path / "none", NAMES, golden_vlm("vit_a"))


class Code:
    """Runs a command where it is unpickled by Python's own unpickler."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_in_a_file_does_not_run(protocol: int, coop_file: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    value = torch.load(coop_file, weights_only=False)
    file = tmp_path / "model.pth.tar-1"
    torch.save(value | {"hook": Code(mark)}, file, pickle_protocol=max(2, protocol))
    imported = import_checkpoint(file, NAMES, golden_vlm("vit_a"), settings=SETTINGS)
    assert torch.equal(imported.method.ctx, value["state_dict"]["ctx"])
    for held in (Code(mark), {"state_dict": Code(mark)}, {"state_dict": {"ctx": Code(mark)}}):
        torch.save(held, file, pickle_protocol=max(2, protocol))
        with pytest.raises(ModelError, match="not a state dict|holds no tensors|is not a checkpoint of coop"):
            import_checkpoint(file, NAMES, golden_vlm("vit_a"), settings=SETTINGS)
    file.write_bytes(pickle.dumps(Code(mark), protocol=protocol))  # no file of torch.save
    with pytest.raises(ModelError):
        import_checkpoint(file, NAMES, golden_vlm("vit_a"), settings=SETTINGS)
    assert not mark.exists()


def test_a_pickle_cannot_change_what_reads_it(tmp_path: Path) -> None:
    """The opcode BUILD sets attributes: of a function, of the classes that stand in, of containers."""
    builds = [
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"cos\nsystem\n",
        b"ccollections\nOrderedDict\n",
    ]
    for start in builds:
        file = tmp_path / "model.pth.tar-1"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a/data.pkl", start + b"(N(S'__call__'\ncos\nsystem\ndtb.")
        with pytest.raises(ModelError):
            import_checkpoint(file, ["a", "b"], golden_vlm("vit_a"))
    fresh = collections.OrderedDict(a=1)
    assert fresh == {"a": 1} and _view(torch.arange(6), 0, (2, 3), (3, 1)).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_small_file_cannot_become_a_huge_tensor(tmp_path: Path) -> None:
    file = tmp_path / "model.pth.tar-1"
    torch.save({"state_dict": {"ctx": torch.zeros(1).expand(10**5, 10**5)}}, file)
    with pytest.raises(ModelError, match="a tensor shows 10,000,000,000 numbers of 1 that are stored"):
        import_checkpoint(file, ["a", "b"], golden_vlm("vit_a"))


def test_a_folder_gives_its_best_or_last_checkpoint(coop_file: Path, tmp_path: Path) -> None:
    vlm = golden_vlm("vit_a")
    state = state_of("coop", *TOPICS["coop"]["vit_a_P1_uni_end_rand16"])
    save_checkpoint(coop_file.with_name("model.pth.tar-5"), state, epoch=5)
    imported = import_checkpoint(tmp_path, NAMES, vlm, settings=SETTINGS)
    assert imported.details["imported"]["file"] == "model.pth.tar-50"
    assert imported.notes[0] == f"model.pth.tar-50 is taken, of the 2 checkpoints of {tmp_path}"
    save_checkpoint(coop_file.with_name("model-best.pth.tar"), state, epoch=30)
    imported = import_checkpoint(coop_file.parent, NAMES, vlm, settings=SETTINGS)
    assert imported.details["imported"]["epoch"] == 30
    save_checkpoint(tmp_path / "seed2" / "model.pth.tar-5", state)
    with pytest.raises(ModelError, match="holds checkpoints of several runs"):
        import_checkpoint(tmp_path, NAMES, vlm, settings=SETTINGS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="holds no checkpoint: no model-best.pth.tar"):
        import_checkpoint(tmp_path / "empty", NAMES, vlm, settings=SETTINGS)


@pytest.mark.parametrize("trained", [False, True])
def test_the_cache_of_tip_adapter(trained: bool, tmp_path: Path) -> None:
    case = tip_case("vit_a_P1_2shot")
    keys, values = (torch.from_numpy(case.golden[name]) for name in ("cache_keys", "cache_values"))
    beta, alpha = case.golden["best_beta_alpha"].tolist()
    torch.save(values.half(), tmp_path / "values_2shots.pt")
    file = tmp_path / ("best_F_2shots.pt" if trained else "keys_2shots.pt")
    torch.save(torch.nn.Parameter(keys.T.contiguous()) if trained else keys, file)
    settings = {"templates": case.meta["templates"], "alpha": alpha, "beta": beta}
    with pytest.raises(ConfigError, match="the setting alpha: .*the setting beta: .*the setting templates: "):
        import_checkpoint(file, case.meta["classnames"], case.vlm)
    imported = import_checkpoint(file, case.meta["classnames"], case.vlm, settings=settings)
    assert imported.method.key == ("tip-adapter-f" if trained else "tip-adapter")
    assert imported.method.found == {"alpha": alpha, "beta": beta}
    assert_close(imported.method(case.test), case.golden["test_tip_logits_best"], 1e-4)
    with pytest.raises(DataError, match="There are 2 class names, but .* was trained for 6 classes"):
        import_checkpoint(file, ["a", "b"], case.vlm, settings=settings)
    torch.save(values[:-1], tmp_path / "values_2shots.pt")
    with pytest.raises(ModelError, match="keys of 12 images, 'values_2shots.pt' labels of 11"):
        import_checkpoint(file, case.meta["classnames"], case.vlm, settings=settings)
    (tmp_path / "values_2shots.pt").unlink()
    with pytest.raises(ModelError, match="its labels 'values_2shots.pt' are not beside it"):
        import_checkpoint(file, case.meta["classnames"], case.vlm, settings=settings)
