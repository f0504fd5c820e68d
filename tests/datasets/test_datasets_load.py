"""Names, suites, shifts, and data sets of one's own."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from coopt.datasets import BENCHMARKS, CERTAINTIES, SHIFTS, SUITES, find_benchmark, load_benchmark
from coopt.errors import DataError, MissingExtraError
from tests.data.data_helpers import class_paths

ROOT = Path(__file__).parents[2]


def test_the_suites_are_the_papers() -> None:
    assert SUITES["paper"] == [
        "imagenet", "caltech101", "oxford-pets", "stanford-cars", "flowers102", "food101", "fgvc-aircraft", "sun397",
        "dtd", "eurosat", "ucf101",
    ]  # fmt: skip
    assert SUITES["shift"] == SHIFTS["imagenet"] == ["imagenetv2", "imagenet-sketch", "imagenet-a", "imagenet-r"]
    assert sorted(name for members in SUITES.values() for name in members) == sorted(BENCHMARKS)
    assert len(SUITES["offline"]) >= 5 and sum(name in SHIFTS for name in SUITES["offline"]) >= 2
    for source, variants in SHIFTS.items():
        assert BENCHMARKS[source].n_train is not None and BENCHMARKS[source].variant_of is None
        for variant in variants:
            assert BENCHMARKS[variant].n_train is None and BENCHMARKS[variant].template == BENCHMARKS[source].template


def test_the_facts_are_the_published_ones() -> None:
    # classes, train, val, test as the authors' code prints them (protocol notes, section 4)
    expected = {
        "caltech101": (100, 4128, 1649, 2465), "oxford-pets": (37, 2944, 736, 3669),
        "stanford-cars": (196, 6509, 1635, 8041), "flowers102": (102, 4093, 1633, 2463),
        "food101": (101, 50500, 20200, 30300), "fgvc-aircraft": (100, 3334, 3333, 3333),
        "sun397": (397, 15880, 3970, 19850), "dtd": (47, 2820, 1128, 1692), "eurosat": (10, 13500, 5400, 8100),
        "ucf101": (101, 7639, 1898, 3783), "imagenet": (1000, 1281167, None, 50000),
    }  # fmt: skip
    for name, counts in expected.items():
        facts = BENCHMARKS[name]
        assert (facts.n_classes, facts.n_train, facts.n_val, facts.n_test) == counts
    from_memory = {name for name, facts in BENCHMARKS.items() if facts.certainty == "from_memory"}
    assert from_memory == {"imagenet", *SUITES["shift"], *SUITES["ordinal"]}
    templates = {
        "oxford-pets": "a photo of a {}, a type of pet.", "flowers102": "a photo of a {}, a type of flower.",
        "food101": "a photo of {}, a type of food.", "fgvc-aircraft": "a photo of a {}, a type of aircraft.",
        "dtd": "{} texture.", "eurosat": "a centered satellite photo of {}.", "ucf101": "a photo of a person doing {}.",
    }  # fmt: skip
    for name in (*SUITES["paper"], *SUITES["shift"]):
        assert BENCHMARKS[name].template == templates.get(name, "a photo of a {}.")
    for facts in BENCHMARKS.values():
        assert facts.licence and facts.homepage and facts.certainty in CERTAINTIES
        assert facts.make or facts.mirror or facts.by_hand
        # Package indexes are mirrored: a package is named, not the address of an index.
        assert not {"project", "package"} & set(facts.homepage.split("/")), facts.homepage  # as an index has them


@pytest.mark.parametrize(("spelling", "name"), [
    ("oxford_pets", "oxford-pets"), ("OxfordPets", "oxford-pets"), ("oxford_flowers", "flowers102"),
    ("DescribableTextures", "dtd"), ("caltech-101", "caltech101"), ("imagenet_sketch", "imagenet-sketch"),
    ("imagenetA", "imagenet-a"), ("ImageNetV2", "imagenetv2"), ("FGVC_AIRCRAFT", "fgvc-aircraft"), ("SUN397", "sun397"),
    ("stanford_cars", "stanford-cars"), ("imagenet-rendition", "imagenet-r"), ("food-101", "food101"),
])  # fmt: skip
def test_the_authors_spellings(spelling: str, name: str) -> None:
    assert find_benchmark(spelling).name == name


def test_spellings_lead_to_one_data_set_each() -> None:
    plain = {}
    for facts in BENCHMARKS.values():
        for spelling in {s.lower().replace("-", "").replace("_", "") for s in (facts.name, *facts.aliases)}:
            assert plain.setdefault(spelling, facts.name) == facts.name


def test_an_unknown_name_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data set 'flower101'. Did you mean 'flowers102'"):
        load_benchmark("flower101", tmp_path)


def data_file(folder: Path, text: str) -> Path:
    path = folder / "datasets.yaml"
    path.write_text(text)
    return path


class TestOwn:
    def test_a_folder_a_table_and_a_variant(self, make_files, tmp_path: Path) -> None:
        make_files("birds", *class_paths({"blue_tit": 10, "Auk": 20}))
        table = "image,label\n" + "".join(f"birds/Auk/{index}.png,Auk\n" for index in range(3))
        make_files(".", contents={"paintings.csv": table, "words.json": '{"Auk": "great auk", "blue_tit": "blue tit"}'})
        extra = data_file(
            tmp_path,
            'birds: {path: birds, template: "a photo of a {}, a type of bird.", class_names: words.json}\n'
            "paintings: {path: paintings.csv, variant_of: birds}\n",
        )
        birds = load_benchmark("birds", tmp_path / "nowhere", extra=extra)
        assert birds.class_names == ["great auk", "blue tit"] and birds.template == "a photo of a {}, a type of bird."
        assert {part: len(dataset) for part, dataset in birds.parts.items()} == {"train": 15, "val": 6, "test": 9}
        paintings = load_benchmark("paintings", tmp_path, extra=extra)
        assert paintings.variant_of == "birds" and paintings.template == "a photo of a {}."
        assert paintings.train is None and paintings.test.labels.tolist() == [0, 0, 0]
        # The known ones can be named beside them.
        with pytest.raises(DataError, match="DTD is not at"):
            load_benchmark("dtd", tmp_path, extra=extra)

    @pytest.mark.parametrize(("text", "message"), [
        ("birds: [", "is not readable YAML"),
        ("- birds", "must map names to entries"),
        ("birds: {template: x}", r"'birds' of '.*' needs a path: 'birds: \{path: FOLDER_OR_TABLE\}'"),
        ("birds: {path: b, templat: 'a {}'}", r"has the key\(s\) 'templat'; allowed are .* Did you mean 'template'"),
        ("birds: {path: b, template: a photo}", r"has the template 'a photo'; '\{\}' must stand in it once"),
        ("birds: {path: b, variant_of: 3}", "gives variant_of as 3; a text is needed"),
        ("birds: {path: b}\noxford_pets: {path: p}", "defines 'oxford_pets', which is how 'oxford-pets' of the package"),
        ("birds: {path: b}", "The path '.*b' does not exist"),
    ])  # fmt: skip
    def test_mistakes(self, text: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=message):
            load_benchmark("birds", tmp_path, extra=data_file(tmp_path, text))

    def test_without_the_reader_of_yaml_an_extra_that_brings_it_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "yaml", None)
        with pytest.raises(MissingExtraError, match=r"Reading a file of data sets needs .*'coopt\[bench\]'"):
            load_benchmark("birds", tmp_path, extra=data_file(tmp_path, "birds: {path: b}"))
        assert re.search(r"^bench = \[.*\"pyyaml", (ROOT / "pyproject.toml").read_text(), flags=re.M)

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"file of data sets '.*no.yaml' does not exist"):
            load_benchmark("birds", tmp_path, extra=tmp_path / "no.yaml")


def test_the_page_has_the_tables_of_the_facts() -> None:
    spec = importlib.util.spec_from_file_location("dataset_table", ROOT / "tools" / "dataset_table.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    page = (ROOT / "docs" / "datasets.md").read_text()
    for suite in SUITES:
        assert f"<!-- table: {suite} -->\n{tool.table(suite)}\n\n" in page
    assert "| `imagenet` | 1,000 | 1,281,167? | - | 50,000? |" in page
