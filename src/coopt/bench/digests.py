"""Short hashes of the data that a run depends on."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from coopt.bench.protocols import Evaluation
from coopt.bench.variants import own_template
from coopt.data import ImageDataset
from coopt.datasets import Benchmark


class Digests:
    """Short hashes of what data sets hold: names of images, labels, class names; not the pictures themselves."""

    def __init__(self, benchmarks: Mapping[str, Benchmark]) -> None:
        self.benchmarks = benchmarks
        self.known: dict[int, str] = {}

    def of_source(self, benchmark: Benchmark, subset: str) -> str:
        """Hash of the images that are learned from and chosen on."""
        parts = (benchmark.train, benchmark.val)
        task = [] if benchmark.task is None else [benchmark.task, *benchmark.task_settings.values()]
        return digest([subset, *(None if part is None else self._of(part) for part in parts), *task], 12)

    def of_test(self, test: Evaluation, method: str | None) -> str:
        """Hash of the images that are tested on, with the template there of a method whose prompts have one."""
        benchmark = self.benchmarks[test.dataset]
        assert benchmark.test is not None  # `choose` refuses others
        template = None if method is None else own_template(method, benchmark.name, benchmark.template)
        return digest([self._of(benchmark.test), template], 12)

    def _of(self, part: ImageDataset) -> str:
        key = id(part)  # `benchmarks` keeps them alive
        if key not in self.known:
            state = hashlib.blake2b(digest_size=12)
            state.update(json.dumps([part.class_names, part.class_labels]).encode())
            state.update(b"" if part.labels is None else np.ascontiguousarray(part.labels, dtype="<i8").tobytes())
            state.update("\n".join(part.names or []).encode(errors="surrogatepass"))
            self.known[key] = state.hexdigest()
        return self.known[key]


def digest(value: Any, length: int) -> str:
    """The first digits of the hash of a JSON value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(errors="surrogatepass")).hexdigest()[:length]
