"""OrdinalCLIP against golden numbers of the authors' code, and its parts in plain loops."""

import math

import pytest
import torch
import torch.nn.functional as F

from coopt.errors import ConfigError, DataError
from coopt.fit import recipe_for
from coopt.methods import Batch, OrdinalCLIP, build_method, find_preset
from coopt.methods.ordinalclip import batch_kl, interpolation_weights
from coopt.tasks import Ordinal
from tests.goldens.golden import assert_close, golden_cases, golden_tensor, golden_vlm

CASES = golden_cases("ordinal")
POSITIONS = {"tail": "end", "middle": "middle", "front": "front"}
INTERPOLATIONS = {"linear": "linear", "inv_prop": "inverse", "normal": "normal"}


def build(meta: dict) -> OrdinalCLIP:
    """The method of a golden case, with the vectors that the case gives."""
    learner, names = meta["prompt_learner"], meta["rank_names"]
    plain = learner["type"] == "PlainPromptLearner"
    ranks = names if plain else [str(rank) for rank in range(learner["num_ranks"])]
    method = OrdinalCLIP(
        golden_vlm(meta["model"]),
        ranks,
        n_base_ranks=None if plain else learner["num_base_ranks"],
        interpolation=INTERPOLATIONS[learner["interpolation_type"]],
        n_rank_tokens=learner["num_tokens_per_rank"],
        rank_init=",".join(names) if names and not plain else None,
        n_ctx=None if learner["init_context"] else learner["num_context_tokens"],
        position=POSITIONS[learner["rank_tokens_position"]],
        class_specific=learner["rank_specific_context"],
        ctx_init=learner["init_context"],
    )
    method.task = Ordinal([str(rank) for rank in range(len(ranks))])
    with torch.no_grad():
        for name, parameter in (("context_embeds", method.ctx), ("rank_embeds", method.ranks)):
            if name in meta["params"]:
                parameter.copy_(golden_tensor(meta["params"][name]))
    return method


@pytest.mark.parametrize("name", CASES)
def test_matches_the_authors_code(name: str) -> None:
    meta, golden = CASES[name]
    method = build(meta)
    images, labels = golden_tensor(meta["inputs"]["images"]), golden_tensor(meta["inputs"]["labels"])
    with torch.no_grad():
        features = method.vlm.encode_image(images)  # (B, E)
    assert_close(method.ctx, golden["context_embeds"], 1e-6)
    assert_close(method.ranks, golden["rank_embeds"], 1e-6)
    if method.weights is not None:
        assert_close(method.weights, golden["interpolation_weights"], 1e-6)
        assert_close(method.rank_tokens(), golden["interpolated_rank_embeds"], 1e-6)
    _, ends = method.encoder.layout.padded(0, 77)
    assert ends.tolist() == golden["pseudo_tokens"].argmax(-1).tolist()
    assert_close(method.class_features(), golden["text_features"], 1e-4)
    assert torch.allclose(method.encoder.dense(method.vectors()), method.encoder(method.vectors()), atol=1e-4)

    targets = labels.float()
    losses = method.loss(Batch(features, targets))
    assert_close(losses.logits, golden["logits"], 1e-4)
    assert float(losses.terms["kl"]) == pytest.approx(float(golden["kl_loss"]), rel=1e-4)
    assert float(losses.total.detach()) == pytest.approx(float(golden["ce_loss"] + golden["kl_loss"]), rel=1e-4)
    losses.total.backward()
    assert_close(method.ctx.grad, golden["grad_context"], 1e-4)
    assert_close(method.ranks.grad, golden["grad_rank"], 1e-4)

    decided = method.task.decide(losses.logits)
    assert_close(decided.values, golden["predict_exp"], 1e-4)
    if meta["prompt_learner"]["num_base_ranks"] != 1:  # one base rank makes all ranks the same: the largest is chance
        assert decided.distribution.argmax(-1).tolist() == golden["predict_max"].astype(int).tolist()
    assert float(method.task.metrics(losses.logits, targets).mae) == pytest.approx(golden["mae_exp"].mean(), rel=1e-4)


def test_the_dense_path_has_the_same_gradients() -> None:
    """The vectors that several ranks share, and ranks with different numbers of tokens, in the plain path."""
    method = OrdinalCLIP(golden_vlm("vit_b"), ["one", "twenty seven", "three"], n_base_ranks=None, n_ctx=5)
    found = []
    for encode in (method.encoder, method.encoder.dense):
        gradients = torch.autograd.grad(encode(method.vectors()).square().sum(), [method.ctx, method.ranks])
        found.append(torch.cat([gradient.flatten() for gradient in gradients]))
    assert torch.allclose(found[0], found[1], atol=1e-3 * float(found[1].abs().max()))


def test_interpolation_in_plain_loops() -> None:
    for kind in ("linear", "inverse", "normal"):
        weights = interpolation_weights(7, 3, kind)
        for i in range(7):
            away = [abs(i - base) for base in (0.0, 3.0, 6.0)]
            raw = {
                "linear": [1 - a / 6 for a in away],
                "inverse": [1 / (a + 1e-5) for a in away],
                "normal": [math.exp(-a * a) for a in away],
            }[kind]
            assert weights[i].tolist() == pytest.approx([r / sum(raw) for r in raw], rel=1e-5)


def test_the_kl_term_in_plain_loops() -> None:
    torch.manual_seed(2)
    logits, classes = torch.randn(5, 4), torch.tensor([3, 1, 3, 0, 1])
    total = 0.0
    for rank in (0, 1, 3):
        row = logits[:, rank].tolist()
        log_p = [value - math.log(sum(map(math.exp, row))) for value in row]
        hot = [math.exp(10.0 * (c == rank)) for c in classes.tolist()]
        q = [h / sum(hot) for h in hot]
        total += sum(a * (math.log(a) - b) for a, b in zip(q, log_p, strict=True))
    assert float(batch_kl(logits, classes)) == pytest.approx(total / 3, rel=1e-5)


def test_two_ranks_are_their_own_base_ranks() -> None:
    method = OrdinalCLIP(golden_vlm("vit_b"), ["1", "2"])
    assert (len(method.ranks), method.settings["n_base_ranks"]) == (2, 2)
    assert method.weights is not None
    assert torch.equal(method.weights, torch.eye(2))


def test_the_weight_of_the_kl_term_and_the_loss_of_the_task() -> None:
    vlm = golden_vlm("vit_b")
    torch.manual_seed(0)
    features, targets = torch.randn(6, vlm.embed_dim), torch.tensor([1.0, 2, 3, 1, 2, 3])
    without = build_method("ordinalclip", vlm, ["1", "2", "3"], {"kl_weight": 0.0}, Ordinal(["1", "2", "3"]))
    losses = without.loss(Batch(features, targets))
    assert torch.allclose(losses.total, F.cross_entropy(losses.logits, targets.long() - 1))
    weighted = Ordinal(["1", "2", "3"], loss="distance-weighted")
    without.task = weighted
    assert torch.allclose(without.loss(Batch(features, targets)).total, weighted.loss(losses.logits, targets))


def test_ranks_without_images_have_prompts_between_the_others() -> None:
    """With two base ranks and linear weights the middle rank's token is the mean of the ends'."""
    method = OrdinalCLIP(golden_vlm("vit_b"), [str(rank) for rank in range(5)], n_base_ranks=2)
    tokens = method.rank_tokens()
    assert torch.allclose(tokens[2], (tokens[0] + tokens[4]) / 2, atol=1e-6)
    assert torch.isfinite(method.class_features()).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_base_ranks": 0}, "n_base_ranks is 0; allowed is a whole number from 1 to the number of ranks, 3"),
        ({"n_base_ranks": 4}, "n_base_ranks is 4"),
        ({"n_rank_tokens": 0}, "n_rank_tokens is 0"),
        ({"interpolation": "linar"}, "interpolation is 'linar'; .*Did you mean 'linear'"),
        ({"kl_weight": -1.0}, "kl_weight is -1.0; allowed is a number from 0"),
        ({"position": "tail"}, "position is 'tail'; allowed are 'end', 'middle', 'front'"),
        ({"rank_init": "young,old"}, "rank_init names 2 words for 3 base ranks"),
        ({"rank_init": "young,,old"}, "at least one word to start from; got ''"),
        ({"rank_init": "young", "n_base_ranks": None}, "rank_init names the words of base ranks"),
    ],
)
def test_settings_that_cannot_be_used(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OrdinalCLIP(golden_vlm("vit_b"), ["1", "2", "3"], **settings)


def test_a_prompt_that_is_too_long() -> None:
    with pytest.raises(DataError, match="The longest prompt has 78 tokens, the model's context 77"):
        OrdinalCLIP(golden_vlm("vit_b"), ["1", "2", "3"], n_ctx=74)
    assert OrdinalCLIP(golden_vlm("vit_b"), ["1", "2", "3"], n_ctx=73).ctx.shape == (73, 64)


def test_the_recipe_and_the_presets_are_the_authors() -> None:
    """configs/default.yaml, and configs/meta_cfgs/morph_compare.yaml with its two rows."""
    recipe = recipe_for("ordinalclip")
    assert (recipe.optimizer, recipe.lr, recipe.weight_decay, recipe.batch_size) == ("radam", 1e-4, 0.0, 32)
    assert (recipe.schedule, recipe.warmup_epochs, recipe.epochs) == ("step", 0, 100)
    own = recipe_for("ordinalclip", preset="frozen-tower")
    assert (own.optimizer, own.lr, own.schedule, own.epochs) == ("radam", 0.005, "cosine", None)
    for name, base in (("morph-fewshot", 3), ("morph-fewshot-coop", None)):
        preset = find_preset("ordinalclip", name)
        recipe = recipe_for("ordinalclip", preset=name)
        assert (recipe.optimizer, recipe.lr, recipe.weight_decay, recipe.batch_size) == ("radam", 1e-4, 5e-4, 32)
        assert (recipe.schedule, recipe.warmup_epochs, recipe.epochs, recipe.views) == ("cosine", 0, 100, "fresh")
        assert preset.task == {"ranks": "0:100"}
        method = OrdinalCLIP(golden_vlm("vit_b"), [str(age) for age in range(101)], **preset.settings)
        assert (method.ctx.shape, method.kl_weight) == ((10, 64), 1.0)
        assert len(method.ranks) == (base or 101)


def test_weights_in_the_term_over_the_batch_are_repeated_images() -> None:
    torch.manual_seed(2)
    logits, classes = torch.randn(4, 5), torch.tensor([1, 3, 1, 0])
    again = [0, 0, 0, 1, 2, 2]  # three times, once, twice, never
    weighted = batch_kl(logits, classes, torch.tensor([3.0, 1.0, 2.0, 0.0]))
    assert float(weighted) == pytest.approx(float(batch_kl(logits[again], classes[again])), rel=1e-5)
    assert float(batch_kl(logits, classes, torch.ones(4))) == pytest.approx(float(batch_kl(logits, classes)), rel=1e-5)
    assert float(batch_kl(logits, classes, torch.zeros(4))) == 0
