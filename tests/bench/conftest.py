"""Drawn data sets and plans for them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from coopt.bench import Choice, ModelChoice, Places, Run, choose, find_protocol, make_runs, read_variants
from coopt.bench.shared import Shared
from coopt.models import load_model
from tests.bench.pictures import write_data

Plan = Callable[..., list[Run]]


@pytest.fixture(scope="session")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("bench") / "data")


@pytest.fixture(scope="session")
def places(data_file: Path) -> Places:
    return Places(str(data_file.parent), str(data_file))


@pytest.fixture(scope="session")
def shared() -> Shared:
    """What an in-process worker keeps; one for all tests, as a worker has one for all runs."""
    return Shared()


@pytest.fixture(scope="session")
def choice() -> ModelChoice:
    return ModelChoice("builtin", load_model("builtin").fingerprint)


@pytest.fixture
def plan(places: Places, choice: ModelChoice) -> Plan:
    """`plan("fewshot", "shapes,signs", "coop n_ctx=3", shots=[2])`: the runs of a call."""

    def make(
        protocol: str,
        names: str,
        methods: str,
        *,
        shots: list[int] | None = None,
        n_seeds: int = 1,
        sources: list[str] | None = None,
        where: Places | None = None,
        **options: object,
    ) -> list[Run]:
        chosen = find_protocol(protocol)
        where = where or places
        asked, _ = choose(Choice(names.split(","), None, sources or []), chosen, where)
        return make_runs(
            chosen,
            asked,
            read_variants([methods]),
            shots=shots or [2],
            n_seeds=n_seeds,
            model=choice,
            places=where,
            **options,  # type: ignore[arg-type]
        )

    return make
