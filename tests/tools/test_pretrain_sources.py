"""Which sets may be trained on: the licence gate, the held-out gate, what of a set is used."""

import pytest

from tools.pretrain import sources
from tools.pretrain.sources import IconSet, LicenceRefused, check_training_set


@pytest.mark.parametrize("prefix", ["fa6-solid", "fa7-regular", "fa", "la", "openmoji", "uil", "uis"])
def test_held_out_sets_are_refused_whatever_their_licence(prefix):
    with pytest.raises(LicenceRefused, match=f"set '{prefix}' belongs to the held-out"):
        check_training_set(prefix, {"license": {"spdx": "MIT"}})


def test_a_held_out_set_under_another_name_is_refused():
    with pytest.raises(LicenceRefused, match="held-out OpenMoji"):
        check_training_set("renamed", {"prefix": "openmoji", "license": {"spdx": "MIT"}})


@pytest.mark.parametrize("licence", ["CC-BY-SA-4.0", "CC-BY-NC-4.0", "GPL-3.0", "OFL-1.1", None])
def test_other_licences_are_refused_by_name(licence):
    with pytest.raises(LicenceRefused, match=f"set 'x' states the licence {licence!r}"):
        check_training_set("x", {"license": {"spdx": licence}})
    with pytest.raises(LicenceRefused, match="None"):
        check_training_set("x", {})


def test_allowed_licences_pass():
    assert check_training_set("x", {"license": {"spdx": "Apache-2.0"}}) == "Apache-2.0"


def test_no_source_is_held_out_and_none_is_listed_twice():
    prefixes = [source.prefix for source in sources.SOURCES]
    held_out = {prefix for family in sources.HELD_OUT.values() for prefix in family}
    assert len(prefixes) == len(set(prefixes)) and not held_out & set(prefixes)
    assert set(sources.EVALUATION_SETS) <= held_out


def test_keep_and_drop_patterns():
    source = IconSet("x", keep=r"-24-(filled|regular)$", drop=r"^brand-")
    assert source.uses("dog-24-filled")
    assert not source.uses("dog-16-filled") and not source.uses("brand-dog-24-filled")
