"""Own data without parts: methods that choose nothing on validation images learn from those that were set aside."""

from pathlib import Path

import numpy as np
import pytest

from coopt.bench import Places
from coopt.bench.execute import execute
from coopt.bench.shared import Shared
from tests.bench.conftest import Plan
from tests.bench.pictures import draw


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Places:
    folder, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(29)
    for kind in ("ring", "plus"):
        (folder / "flat" / kind).mkdir(parents=True)
        for number in range(10):
            draw(kind, rng, 0).save(folder / "flat" / kind / f"{number}.png")
    (folder / "own.yaml").write_text("flat: {path: flat}\n")
    return Places(str(folder), str(folder / "own.yaml"))


@pytest.mark.parametrize(
    ("method", "n_train", "selection"),
    [("coop n_ctx=1, epochs=1", 14, "none"), ("linear-probe", 10, "validation shots")],
)
def test_no_image_is_lost(method: str, n_train: int, selection: str, plan: Plan, shared: Shared, flat: Path) -> None:
    (run,) = plan("fewshot", "flat", method, shots=[16], where=flat)
    (line,) = execute(run, shared).records
    assert (line.n_train, line.n_test, line.selection) == (n_train, 6, selection)


def test_few_shots_and_the_parts_of_a_source_stay(plan: Plan, shared: Shared, flat: Places) -> None:
    (run,) = plan("fewshot", "shapes", "coop n_ctx=1, epochs=1", shots=[16])
    (line,) = execute(run, shared).records
    assert (line.n_train, line.n_test) == (5 * 7, 15)
