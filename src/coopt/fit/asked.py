"""What a user asked `learn` for: shots, seed and words, checked and made plain."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from coopt.data import DataWarning
from coopt.data.wording import some
from coopt.errors import ConfigError
from coopt.messages import is_command_line, option, tell
from coopt.methods import Method

BARE_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")


def read_shots(shots: Any) -> int | None:
    """Images per class; None for all of them.

    Raises:
        ConfigError: neither a whole number from 1, nor "all" or None.
    """
    if shots is None or (isinstance(shots, str) and shots == "all"):
        return None
    value = int(shots) if isinstance(shots, str) and shots.isascii() and shots.isdigit() else shots
    if not _is_whole(value) or value < 1:
        raise ConfigError(f"{option('--shots', 'shots')} is {shots!r}; allowed is a whole number from 1, or 'all'.")
    return int(value)


def read_seed(seed: Any) -> int:
    """The seed as a plain number.

    Raises:
        ConfigError: it is no whole number from 0 to 2**63 - 1.
    """
    if not _is_whole(seed) or not 0 <= seed < 2**63:
        raise ConfigError(f"{option('--seed', 'seed')} is {seed!r}; allowed is a whole number from 0 to 2**63 - 1.")
    return int(seed)


def note_bare_numbers(kind: type[Method], class_names: Sequence[str]) -> None:
    """Tell a user whose prompts say numbers and nothing else that words are missing.

    0 and 1 in Python are how scikit-learn's users write no and yes: only commands say it of them.
    """
    is_flag = sorted(class_names) == ["0", "1"] and not is_command_line()
    are_numbers = bool(class_names) and all(BARE_NUMBER.fullmatch(name.strip()) for name in class_names)
    if kind.uses_words and are_numbers and not is_flag:
        tell(
            f"The class names are bare numbers ({some(class_names, 3)}), so the prompts say nothing about the images. "
            f"Give the words of each class with {option('--class-names FILE', 'class_names={label: words}')}.",
            DataWarning,
        )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
