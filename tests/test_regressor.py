"""`PromptRegressor`: numbers in, numbers out, in scikit-learn's tools and in run folders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score

from coopt import PromptClassifier, PromptRegressor
from coopt.errors import ConfigError, DataError


def bars(n: int, seed: int = 0) -> tuple[list[Image.Image], np.ndarray]:
    """Pictures of a bar that is as high as its number from 1 to 5."""
    rng = np.random.default_rng(seed)
    images, numbers = [], np.arange(n) % 5 + 1
    for number in numbers:
        image = Image.new("RGB", (40, 40), "white")
        left = int(rng.integers(2, 20))
        ImageDraw.Draw(image).rectangle((left, 40 - 7 * int(number), left + 14, 40), fill="black")
        images.append(image)
    return images, numbers


@pytest.fixture(scope="module")
def fitted() -> PromptRegressor:
    return PromptRegressor(method="ridge", ranks="0:6", shots=8).fit(*bars(40))


def test_numbers_intervals_distributions_and_score(fitted: PromptRegressor) -> None:
    images, numbers = bars(15, seed=8)
    predicted = fitted.predict(images)
    assert (predicted.shape, predicted.dtype) == ((15,), np.float64)
    assert np.abs(predicted - numbers).mean() < 0.5
    shares = fitted.predict_distribution(images)
    assert fitted.ranks_.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert shares.sum(1) == pytest.approx(np.ones(15))
    assert predicted == pytest.approx(shares @ fitted.ranks_, rel=1e-5)
    ends = fitted.predict_interval(images)
    assert ends.shape == (15, 2)
    for row in range(15):
        below = shares[row].cumsum()
        assert ends[row].tolist() == [float(np.argmax(below >= 0.05)), float(np.argmax(below >= 0.95))]
    assert fitted.score(images, numbers) == pytest.approx(r2_score(numbers, predicted))
    wide = clone(fitted).set_params(interval=0.5).fit(*bars(40)).predict_interval(images)
    assert np.all(wide[:, 1] - wide[:, 0] <= ends[:, 1] - ends[:, 0])


def test_it_is_a_regressor_that_scikit_learn_can_search_and_cross_validate() -> None:
    images, numbers = bars(30)
    array = np.stack([np.asarray(image) for image in images])
    regressor = PromptRegressor(method="nearest-neighbours", shots=None)
    assert is_regressor(regressor)
    assert not is_classifier(regressor)
    scores = cross_val_score(regressor, array, numbers / 2, cv=3)
    assert scores.shape == (3,)
    assert scores.mean() > 0.5
    search = GridSearchCV(regressor, {"settings": [{"k": 1}, {"k": 20}]}, cv=2).fit(array, numbers)
    assert search.best_params_ == {"settings": {"k": 1}}
    assert search.best_estimator_.ranks_.tolist() == [1, 2, 3, 4, 5]


def test_it_is_the_classifier_with_the_task(fitted: PromptRegressor, tmp_path: Path) -> None:
    images, numbers = bars(15, seed=8)
    labels = [str(number) for number in bars(40)[1]]
    classifier = PromptClassifier(method="ridge", shots=8, task="ordinal", task_settings={"ranks": "0:6"})
    classifier.fit(bars(40)[0], labels)
    assert classifier.predict(images) == pytest.approx(fitted.predict(images))
    mae = np.abs(fitted.predict(images) - numbers).mean()
    assert classifier.score(images, [str(number) for number in numbers]) == pytest.approx(-mae, rel=1e-5)
    fitted.save(tmp_path / "run")
    loaded = PromptRegressor.load(tmp_path / "run")
    assert loaded.predict(images) == pytest.approx(fitted.predict(images))
    assert (loaded.ranks, loaded.interval, loaded.task_settings) == ("0:6", 0.9, {"loss": "cross-entropy"})
    assert clone(loaded).fit(*bars(40)).predict(images) == pytest.approx(fitted.predict(images))


def test_prompts_are_learned_and_categories_count_as_places() -> None:
    images, numbers = bars(20)
    words = [["low", "medium", "high"][min(2, int(number) // 2)] for number in numbers]
    regressor = PromptRegressor(ranks="low,medium,high", n_ctx=2, epochs=2, shots=3).fit(images, words)
    predicted = regressor.predict(images)
    assert predicted.min() >= 0 and predicted.max() <= 2
    assert regressor.score(images, words) == pytest.approx(r2_score([min(2, int(n) // 2) for n in numbers], predicted))


def test_a_preset_says_the_ranks_where_none_are_given() -> None:
    images, numbers = bars(20)
    options = {"method": "ordinalclip", "preset": "morph-fewshot", "epochs": 1, "views": 0, "shots": 2}
    assert len(PromptRegressor(**options).fit(images, numbers).ranks_) == 101
    assert len(PromptRegressor(**options, ranks="0:9").fit(images, numbers).ranks_) == 10


def test_what_cannot_be_used_is_said(fitted: PromptRegressor, tmp_path: Path) -> None:
    images, numbers = bars(10)
    with pytest.raises(NotFittedError, match="PromptRegressor is not fitted yet; call fit"):
        PromptRegressor().predict(images)
    for value, message in ((float("nan"), r"y\[3\] is nan; give a finite number"), (None, r"y\[3\] is None; a number")):
        wrong = [*numbers[:3].tolist(), value, *numbers[4:].tolist()]
        with pytest.raises(DataError, match=message):
            PromptRegressor().fit(images, wrong)
    with pytest.raises(DataError, match="'7' lies outside the ranks, which go from 0 to 6"):
        PromptRegressor(ranks="0:6", shots=2).fit(images, [*numbers[:9], 7])
    with pytest.raises(DataError, match="has 'years' after the number"):
        PromptRegressor().fit(images, [f"{number} years" for number in numbers])
    run = PromptClassifier(method="zero-shot").fit(images, [f"bar {number}" for number in numbers]).save(tmp_path / "r")
    with pytest.raises(ConfigError, match="of the task 'classification'; PromptRegressor takes runs of 'ordinal'"):
        PromptRegressor.load(run)
