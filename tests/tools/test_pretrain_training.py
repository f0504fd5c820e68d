"""Batches, one small training of all stages, and that a resumed run equals one that was not stopped."""

from dataclasses import replace

import pytest
import torch
from transformers import CLIPModel, CLIPTokenizer

from tools.pretrain import align, augment, corpus, distil, export, losses, name, networks, teacher, tokenizer
from tools.pretrain.batches import Batches

CPU = torch.device("cpu")


@pytest.fixture
def batches(work):
    return Batches(corpus.load(work / "corpus"), tokenizer.load(work / "tokenizer"), seed=3)


def test_a_batch_depends_on_seed_and_step_alone(batches):
    first, again, other = (batches.batch(step, 7, 32, CPU) for step in (4, 4, 5))
    assert first.pixels.shape == (7, 3, 32, 32) and first.pixels.abs().max() <= 1
    assert torch.equal(first.pixels, again.pixels) and torch.equal(first.ids, again.ids)
    assert not torch.equal(first.pixels, other.pixels)


def test_positives_are_the_icons_that_carry_the_tag_and_the_looks(batches):
    icons = torch.tensor([0, 11, 1, 13])  # tags: names 0, 0, 1, 2; categories 11, 12, 12, 12; 13 is one-coloured
    style = batches.corpus.style[icons]
    assert style[:3].tolist() == [0, 0, 0] and style[3] > 0
    tags = torch.tensor([0, 0, 12, 12])
    plain = next(i for i, w in enumerate(batches.wordings) if w.style == -1 and w.colour == -1)
    emoji = next(i for i, w in enumerate(batches.wordings) if w.style == 0)
    red = next(i for i, w in enumerate(batches.wordings) if w.colour == list(augment.COLOURS).index("red"))
    wordings = torch.tensor([plain, red, plain, emoji])
    colour = torch.tensor([-1, list(augment.COLOURS).index("red"), -1, -1])
    expected = torch.tensor(
        [[1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]], dtype=torch.bool
    )  # the last on the diagonal: a caption is always true of its own icon
    assert torch.equal(batches.positives(icons, tags, wordings, style, colour), expected)


def test_captions_say_only_what_is_true_of_the_picture(batches):
    decode = tokenizer_of(batches)
    for step in range(20):
        generator = batches.generator(step)
        icons = batches.draw_icons(generator, 23)
        style = batches.corpus.style[icons]
        colour = torch.where(style == 0, -1, torch.randint(0, 11, (23,), generator=generator))
        tags, is_category = batches.draw_tags(icons, generator)
        wordings = batches.draw_wordings(is_category, style, colour, generator)
        for i in range(23):
            assert tags[i] in batches.corpus.tags[icons[i]]
            wording = batches.wordings[wordings[i]]
            assert wording.style in (-1, style[i]) and wording.colour in (-1, colour[i])
            assert bool(tags[i] >= 11) == bool(is_category[i])
        ids = batches.caption_ids(tags, wordings)
        assert (ids[:, 0] == decode.bos_token_id).all() and (ids == decode.eos_token_id).any(1).all()


def tokenizer_of(batches):
    class Facts:
        bos_token_id, eos_token_id = batches.bos, batches.eos

    return Facts


def test_word_targets_are_the_words_of_all_tags(work):
    packed = corpus.load(work / "corpus")
    counts = packed.word_targets(torch.tensor([0, 11])).sum(1)
    assert counts.tolist() == [3, 3]  # "thing cat" and "animals"; "thing cat" and "pets"


RECIPE = teacher.TeacherRecipe(steps=4, batch=7, resolution=48, warmup=2, cooldown=2, horizon=8, save_every=2)
DISTIL = distil.DistilRecipe(
    steps=4, batch=5, warmup=2, cooldown=2, horizon=8, n_anchors=11, anchors_per_step=7, save_every=2
)


ALIGN = align.AlignRecipe(steps=4, batch=6, warmup=2, coarse=0.5, save_every=2)
NAME = name.NameRecipe(steps=4, batch=7, warmup=2, save_every=2)
STAGES = ((teacher, RECIPE), (distil, DISTIL), (align, ALIGN), (name, NAME))
RESULTS = ("teacher.pt", "student.pt", "aligned.pt", "named.pt")


def test_all_stages_resume_to_the_result_of_an_unbroken_run(work, tmp_path_factory, capsys):
    broken = tmp_path_factory.mktemp("broken")
    for folder in ("corpus", "tokenizer", "captions", "raster"):
        (broken / folder).symlink_to(work / folder)
    for folder, stops in ((work, (None,)), (broken, (2, None))):
        for stage, recipe in STAGES:
            for stop in stops:
                torch.rand(11)  # what else was drawn before must not matter
                stage.train(folder, recipe, CPU, workers=0, stop_at=stop)
    results = [torch.load(work / file, weights_only=True) for file in RESULTS]
    for file, whole in zip(RESULTS, results, strict=True):
        resumed = torch.load(broken / file, weights_only=True)
        assert whole.keys() == resumed.keys()
        assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    average = torch.load(work / "aligned-checkpoint.pt", weights_only=True)["average"]
    assert all(torch.equal(average[key], results[2][key]) for key in average)
    _check_stages(*results)
    _check_export(work)


def _check_stages(taught, distilled, aligned, named):
    """Each stage changes what it says it changes: one the text, two the images, three both, four the text alone."""

    def kept(before, after, part):
        return [torch.equal(before[key], after[key]) for key in after if key.startswith(part) and key in before]

    assert all(kept(taught, distilled, "text")) and not any(kept(distilled, aligned, "text_projection"))
    assert not any(kept(distilled, aligned, "visual_projection")) and all(kept(aligned, named, "vis"))
    assert not any(kept(aligned, named, "text_projection"))
    assert named["logit_scale"].exp().item() == pytest.approx(NAME.shipped_scale)


def _check_export(work):
    """The exported folder is a stock CLIPModel with the weights of stage four, which encodes as it did before."""
    target = work / "model"
    assert 4e6 < export.export(work, target) < 6e6
    assert (target / "model.safetensors").stat().st_size < 12e6
    model = CLIPModel.from_pretrained(target, dtype=torch.float32).eval()
    values = torch.load(work / "named.pt", weights_only=True)
    for key in ("text_projection.weight", "visual_projection.weight"):
        assert torch.allclose(model.state_dict()[key], values[key], atol=1e-3)
    ids = CLIPTokenizer.from_pretrained(target)(
        ["an icon of a cat.", "dog"], padding=True, return_tensors="pt"
    ).input_ids
    assert ids[0, 0] == model.config.text_config.bos_token_id
    with torch.no_grad():
        short = networks.encode_text(model, ids[1:, : int((ids[1] == ids[1, -1]).nonzero()[0]) + 1])
        assert torch.allclose(networks.encode_text(model, ids)[1:], short, atol=1e-5)  # pooled at the first end token


def test_half_of_an_aligned_batch_shows_the_icons_of_the_other_half(work):
    packed = align.load_corpus(work, 4.0)
    plain, coarse = (align.TwinBatches(packed, tokenizer.load(work / "tokenizer"), 3, part) for part in (0.0, 1.0))
    sharp, rough = plain.batch(4, 8, 48, CPU), coarse.batch(4, 8, 48, CPU)
    for batch in (sharp, rough):
        assert torch.equal(batch.icons[:4], batch.icons[4:])
        assert batch.pixels.shape == (8, 3, 48, 48) and batch.pixels.abs().max() <= 1
        assert not torch.equal(batch.pixels[:4], batch.pixels[4:])
    steps = [(batch.pixels.diff(dim=-1).abs() > 0.5).sum() for batch in (sharp, rough)]
    assert steps[1] < steps[0] / 2  # enlarged from few pixels there are hardly any sharp edges


def test_views_are_those_of_the_icons_that_their_captions_name(work):
    packed = align.load_corpus(work, 1.0)
    batches = name.NamedViews(packed, tokenizer.load(work / "tokenizer"), 3)
    n_icons = len(packed.style)
    features = torch.arange(2 * n_icons, dtype=torch.float16).view(2, n_icons, 1)
    views = name.Views(features, torch.full((2, n_icons), -1))
    seen, ids, positives = batches.named(0, 40, views)
    icons = (seen[:, 0] % n_icons).long()
    assert seen.max() >= n_icons > seen.min()  # both views
    spoken = [set(row.tolist()) for row in ids]
    for row in range(40):
        own = packed.tags[icons[row]]
        tokens = [{token for token in packed.tag_ids[tag].tolist() if token >= 0} for tag in own[own >= 0]]
        assert positives[row, row] and any(tag <= spoken[row] for tag in tokens)


def test_a_step_of_stage_three_has_the_gradient_of_both_losses_in_both_towers(work, tmp_path):
    """The step in two parts beside a plain backward through the whole batch, in float32."""
    torch.manual_seed(5)
    model, packed = networks.clip_model(), align.load_corpus(work, 4.0)
    batch = align.TwinBatches(packed, tokenizer.load(work / "tokenizer"), 3, 0.5).batch(0, 6, 48, CPU)
    with torch.autocast("cpu", torch.bfloat16):
        image, text = networks.encode_image(model, batch.pixels), networks.encode_text(model, batch.ids)
    seen, said = (torch.nn.functional.normalize(found.float(), dim=-1) for found in (image, text))
    match = losses.contrastive(model.logit_scale.exp() * seen @ said.T, batch.positives)
    twin = losses.twins(ALIGN.twin_scale * seen @ seen.T, batch.positives)
    places = (model.visual_projection.weight, model.text_projection.weight, model.logit_scale)
    expected = torch.autograd.grad(match + ALIGN.twin_weight * twin, places)
    norm = torch.stack([part.norm() for part in expected])
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    values = align.train_step(model, align.Parts(2), still, batch, ALIGN)
    assert values["contrastive"] == pytest.approx(match.item(), rel=0.02)
    found = [place.grad for place in places]
    clipped = torch.stack([part.norm() for part in found])
    # The whole gradient may have been shortened; each part keeps its direction and its share.
    assert torch.allclose(clipped / clipped[0], norm / norm[0], rtol=0.05)
    for part, wanted in zip(found[:2], expected[:2], strict=True):
        assert torch.nn.functional.cosine_similarity(part.flatten(), wanted.flatten(), dim=0) > 0.99


def test_stage_four_sees_through_the_aligned_tower_and_starts_a_text_tower_anew(work):
    torch.manual_seed(7)
    aligned = networks.clip_model()
    torch.save(aligned.state_dict(), work / "aligned.pt")
    views = name.encode_views(work, NAME, CPU, workers=0)
    batches = Batches(align.load_corpus(work, 1.0), tokenizer.load(work / "tokenizer"), NAME.seed)
    for view in range(NAME.views):  # 29 icons are one chunk, so a view is a step
        drawn = batches.draw_pictures(torch.arange(29), batches.generator(view), NAME.resolution, CPU)
        with torch.no_grad():
            wanted = torch.nn.functional.normalize(networks.encode_image(aligned.eval(), drawn.pixels), dim=-1)
        assert torch.allclose(views.features[view].float(), wanted, atol=2e-2)
        assert torch.equal(views.colour[view], drawn.colour)
    fresh, again = (name.new_text_tower(work, NAME.seed) for _ in range(2))
    assert torch.equal(fresh.text_projection.weight, again.text_projection.weight)
    assert not torch.equal(fresh.text_projection.weight, aligned.text_projection.weight)
    name.train(work, replace(NAME, word_rate=0.0), CPU, workers=0)
    words = "text_model.embeddings.token_embedding.weight"
    assert torch.equal(torch.load(work / "named.pt", weights_only=True)[words], fresh.state_dict()[words])


def test_negatives_have_no_colour_that_a_caption_could_name(work):
    packed = align.load_corpus(work, 1.0)
    batches, icons = Batches(packed, tokenizer.load(work / "tokenizer"), 3), torch.arange(13, 29)
    drawn, before = (batches.draw_pictures(icons, batches.generator(1), 48, CPU) for _ in range(2))
    align.coarsen(drawn, packed.style[icons] != 0, 1.0, batches.generator(2))
    turned = (drawn.pixels * before.pixels).mean((1, 2, 3)) < 0
    assert 0 < turned.sum() < len(turned)
    assert (drawn.colour[turned] == -1).all() and torch.equal(drawn.colour[~turned], before.colour[~turned])


def test_finished_stages_are_not_run_again(work):
    teacher.train(work, replace(RECIPE, steps=2, cooldown=1), CPU, workers=0)
    before = (work / "teacher.pt").stat().st_mtime_ns
    teacher.train(work, RECIPE, CPU, workers=0)
    assert (work / "teacher.pt").stat().st_mtime_ns == before
