"""Ranks: the ordered answers of the task `ordinal`, and how numbers are read from the labels of the data."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from coopt.data.wording import some
from coopt.errors import ConfigError, DataError
from coopt.messages import option

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
"""How a number is written: `34`, `-2.5`, `1e3`."""
COMMA = re.compile(r"[+-]?\d+(,\d+)+(\.\d+)?", re.ASCII)
LARGEST = Decimal("1e15")
"""Beyond it neighbouring numbers are not told apart."""
MOST_FROM_DATA = 256
"""How many different numbers of the data become ranks by themselves."""
MOST = 1001
"""How many ranks there may be at all: each is a prompt."""

RanksGiven = str | Sequence[str | int | float] | range | None
"""`"0:100"`, `"0:100:5"`, `"low,medium,high"`, a list of numbers or categories; None takes the numbers of the data."""


@dataclass(frozen=True)
class Ranks:
    """C ordered answers."""

    labels: list[str]
    """As they are written, in their order."""
    values: list[float]
    """Their numbers; 0, 1, 2, ... where they are categories."""
    numeric: bool
    """Whether they are numbers."""

    def value(self, label: str) -> float:
        """The number of a label of the data.

        Raises:
            DataError: it is no number, it lies outside the ranks, or it is none of the categories.
        """
        if self.numeric:
            number = float(read_number(label))
            if not self.values[0] <= number <= self.values[-1]:
                raise DataError(
                    f"the label {label!r} lies outside the ranks, which go from {self.labels[0]} to {self.labels[-1]}"
                )
            return number
        if label in self.labels:
            return float(self.labels.index(label))
        same = [own for own in self.labels if own.casefold() == label.casefold()]
        hint = f"; did you mean {same[0]!r}?" if same else ""
        raise DataError(f"the label {label!r} is none of the ranks {some(self.labels)}{hint}")


def ranks_option(ranks: str) -> str:
    """How a message says to give ranks."""
    return option(f"--ranks {ranks}", f"task_settings={{'ranks': {ranks!r}}}")


def is_number(text: str) -> bool:
    """Whether a label is a number as `read_number` reads it."""
    return NUMBER.fullmatch(text.strip()) is not None


def read_number(text: str) -> Decimal:
    """The number that a label is.

    Raises:
        DataError: it is none; the message says what is wrong with it.
    """
    text = text.strip()
    if NUMBER.fullmatch(text):
        if abs(number := Decimal(text)) > LARGEST:
            raise DataError(f"the label {text!r} is larger than {LARGEST:g}; write the numbers in a larger unit")
        return number
    if COMMA.fullmatch(text):
        raise DataError(
            f"the label {text!r} has a comma; write its decimals after a point (2.5) and no other separator"
        )
    if (start := NUMBER.match(text)) and not text[start.end() :].strip().isdigit():
        rest = text[start.end() :].strip()
        raise DataError(f"the label {text!r} has {rest!r} after the number; write only the number ({start.group()})")
    raise DataError(f"the label {text!r} is no number")


def make_ranks(given: RanksGiven, labels: Sequence[str]) -> Ranks:
    """The ranks that a user gave, or the distinct numbers among the labels of the data.

    Raises:
        ConfigError: what was given is no list of ranks.
        DataError: nothing was given, and a label is no number, or there are too many or too few of them.
    """
    if given is None:
        return _from_labels(labels)
    texts = _range(given) if isinstance(given, str) and ":" in given else _listed(given)
    if len(texts) < 2:
        raise ConfigError(
            f"ranks is {given!r}, which is one rank; give at least two, such as 0:100 or low,medium,high."
        )
    if len(texts) > MOST:
        raise ConfigError(f"ranks is {given!r}, which is {len(texts)} ranks; at most {MOST} are possible.")
    repeated = sorted({text for text in texts if texts.count(text) > 1})
    if repeated:
        raise ConfigError(f"ranks is {given!r}; each rank may stand there once, repeated: {some(repeated)}.")
    numeric = [is_number(text) for text in texts]
    if not any(numeric):
        return Ranks(texts, [float(place) for place in range(len(texts))], False)
    if not all(numeric):
        wrong = [text for text, is_one in zip(texts, numeric, strict=True) if not is_one]
        raise ConfigError(
            f"ranks is {given!r}: {some(wrong)} is no number, and the others are. Give numbers only, or categories "
            "that are all words, in their order."
        )
    try:
        values = [float(read_number(text)) for text in texts]
    except DataError as error:
        raise ConfigError(f"ranks is {given!r}: {error}.") from None
    if any(after <= before for before, after in zip(values, values[1:], strict=False)):
        raise ConfigError(f"ranks is {given!r}; numbers must rise from the first to the last.")
    return Ranks(texts, values, True)


def _listed(given: RanksGiven) -> list[str]:
    parts = given.split(",") if isinstance(given, str) else [str(part) for part in given or []]
    texts = [part.strip() for part in parts]
    if not all(texts):
        raise ConfigError(
            f"ranks is {given!r}; a rank is empty. Give them with a comma between, such as low,medium,high."
        )
    return texts


def _range(given: str) -> list[str]:
    """`"0:100:5"` to its numbers, both ends included, written as exactly as the ends are."""
    parts = [part.strip() for part in given.split(":")]
    if len(parts) not in (2, 3) or not all(map(is_number, parts)):
        raise ConfigError(f"ranks is {given!r}; a range is FIRST:LAST or FIRST:LAST:STEP in numbers, such as 0:100:5.")
    first, last, step = (Decimal(part) for part in (*parts, "1")[:3])
    if step <= 0 or last <= first:
        raise ConfigError(f"ranks is {given!r}; a range rises: LAST must be above FIRST, and STEP above 0.")
    n_steps, rest = divmod(last - first, step)
    if rest:
        raise ConfigError(
            f"ranks is {given!r}; steps of {step} from {first} do not meet {last}. End at {first + n_steps * step} or "
            f"at {first + (n_steps + 1) * step}."
        )
    if n_steps >= MOST:
        raise ConfigError(f"ranks is {given!r}, which is {n_steps + 1} ranks; at most {MOST} are possible.")
    return [str(first + number * step) for number in range(int(n_steps) + 1)]


def _from_labels(labels: Sequence[str]) -> Ranks:
    """The distinct numbers of the data, in their order; two writings of one number are one rank."""
    by_value: dict[Decimal, str] = {}
    wrong: list[tuple[str, str]] = []
    for label in labels:
        try:
            by_value.setdefault(read_number(label), label.strip())
        except DataError as error:
            wrong.append((label, str(error)))
    if len(wrong) == len(labels):
        raise DataError(
            f"The task 'ordinal' needs labels that are numbers, or categories in their order: {wrong[0][1]}. For "
            f"categories give ranks ({ranks_option('low,medium,high')}): {some([label for label, _ in wrong])} in "
            "their order."
        )
    if wrong:
        raise DataError(
            f"The task 'ordinal' needs labels that are numbers: {wrong[0][1]}; of the {len(labels)} different labels "
            f"these are none: {some([label for label, _ in wrong])}."
        )
    if len(by_value) < 2:
        raise DataError(
            f"All labels are the number {next(iter(by_value.values()))}; learning a quantity needs at least two "
            "different numbers."
        )
    ordered = sorted(by_value)
    if len(ordered) > MOST_FROM_DATA:
        raise DataError(
            f"The labels have {len(ordered)} different numbers from {ordered[0]} to {ordered[-1]}; up to "
            f"{MOST_FROM_DATA} become ranks by themselves. Give ranks ({ranks_option('FIRST:LAST:STEP')}), such as "
            f"{suggested(ordered[0], ordered[-1])}; labels between two ranks are learned as the nearer one."
        )
    return Ranks([by_value[value] for value in ordered], [float(value) for value in ordered], True)


def suggested(low: Decimal, high: Decimal) -> str:
    """A range of 10 to 100 round numbers that covers two numbers."""
    step = Decimal(1).scaleb((high - low).adjusted() - 1)
    first, last = (low / step).to_integral_value("ROUND_FLOOR"), (high / step).to_integral_value("ROUND_CEILING")
    return ":".join(f"{number * step:f}" for number in (first, last, Decimal(1)))
