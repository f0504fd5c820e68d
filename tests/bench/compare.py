"""Records as text: equal for equal work, whoever did it and however often it was interrupted."""

import json
from collections.abc import Iterable, Sequence

from coopt.evaluate.record import Record

VARYING = ("seconds", "peak_memory_mb")
"""Fields that differ between two runs of the same thing; all others are the same on the same machine."""


def comparable(records: Iterable[Record]) -> list[str]:
    """Records without what varies from run to run, in order."""
    return sorted(
        json.dumps({name: value for name, value in record.as_dict().items() if name not in VARYING}, sort_keys=True)
        for record in records
    )


def accuracy_table(records: Sequence[Record]) -> str:
    """Every accuracy, a line each, with all digits."""
    columns = ("protocol", "model", "variant", "source", "dataset", "subset", "shots", "seed")
    lines = sorted(
        "\t".join(str(getattr(record, name)) for name in columns) + f"\t{record.metrics['accuracy']!r}"
        for record in records
    )
    return "\n".join(["\t".join([*columns, "accuracy"]), *lines]) + "\n"
