"""What an icon may be called."""

import pytest

from tools.pretrain import captions
from tools.pretrain.captions import Tags, Thesaurus, clean_category, clean_name, code_key, tag_icon
from tools.pretrain.sources import IconSet

STYLE = IconSet("x").style


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dog-side-outline", "dog side"),
        ("cloud-01-bold-duotone", "cloud"),
        ("arrow-up-2-line", "arrow up"),
        ("1st-place-medal", "1st place medal"),
        ("line", "line"),  # a whole name is never cut
        ("24", "24"),
    ],
)
def test_names_lose_style_and_number(name, text):
    assert clean_name(name, STYLE) == text


def test_categories_are_split_and_empty_words_left_out():
    assert clean_category("FoodDrink") == ["food drink"]
    assert clean_category("Food / Drink") == ["food and drink", "food", "drink"]
    assert clean_category("Others") == []


def test_code_points_lose_the_variation_selector():
    assert code_key("2764-FE0F-200D-1F525") == "2764-200d-1f525"


def test_tags_are_kept_once_and_limited():
    tags = Tags()
    tags.add("names", ["dog", "dog", ""])
    tags.add("keywords", ["dog", "pet"] + [f"word {number}" for number in range(50)])
    assert tags.names == ["dog"] and tags.keywords[0] == "pet"
    assert len(tags.keywords) == captions.LIMITS["keywords"]


@pytest.fixture
def thesaurus():
    dog = Tags(["dog face", "dog"], ["pet", "puppy"], ["mammals", "animals"])
    known = Thesaurus({"1f436": dog})
    known.note_categories("bowl", ["household"])
    return known


def test_emoji_get_their_keywords_by_code_point(thesaurus):
    tags = tag_icon(IconSet("x", emoji=True), "dogface", {}, {"dogface": "1f436"}, {}, thesaurus)
    assert tags.names == ["dogface", "dog face", "dog"]
    assert tags.keywords == ["pet", "puppy"] and tags.categories == ["mammals", "animals"]


def test_icons_get_what_is_known_of_their_name(thesaurus):
    tags = tag_icon(IconSet("x"), "dog-fill", {"dog-fill": ["wildlife"]}, {}, {"dog-fill": ["hound"]}, thesaurus)
    assert tags.names == ["dog", "hound"]
    assert tags.keywords == ["dog face", "pet", "puppy"]
    assert tags.categories == ["wildlife", "mammals", "animals"]


def test_parts_of_a_name_give_categories_but_not_synonyms(thesaurus):
    tags = tag_icon(IconSet("x"), "dog-bowl", {}, {}, {}, thesaurus)
    assert tags.names == ["dog bowl"] and tags.keywords == ["dog", "bowl"]
    assert tags.categories == ["household", "mammals", "animals"]


def test_names_that_are_lists_of_keywords_become_keywords(thesaurus):
    tags = tag_icon(IconSet("x"), "travel-map-pin-gps-route-place", {}, {}, {}, thesaurus)
    assert tags.names == ["travel map", "route place"]
    assert {"pin", "gps"} <= set(tags.keywords)
