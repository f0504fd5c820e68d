"""Runs on the Hugging Face hub: a hub id stands wherever a run folder does."""

from pathlib import Path

from coopt.artifacts.place import BOUND, CARD, CONFIG, METRICS
from coopt.errors import RunError
from coopt.messages import option
from coopt.models import HUB_ID, Kind, fetch_snapshot

FILES = (CONFIG, *BOUND, METRICS, CARD)
"""What a run consists of; nothing else is fetched or shared."""
PREFIX = "hf:"
RUNS = "runs"
"""Where `coopt fit` writes by default: never an owner on the hub, whether the folder is there yet or not."""
RUN = Kind(
    "run",
    RunError,
    "A run is a local folder that `coopt fit` wrote, or OWNER/NAME on the hub.",
    "Give a local run folder, or fetch the run once with a network.",
)


def hub_id(place: Path | str) -> str | None:
    """The hub id that a place means; None for a folder of this machine.

    A folder wins over a hub id of the same name; `work/photos` is no hub id where there is a folder `work`, and
    `runs/photos` never is: the network is only asked for what can only lie there. `hf:OWNER/NAME` always is one.
    """
    text = str(place)
    if text.startswith(PREFIX):
        return text.removeprefix(PREFIX)
    path = Path(text).expanduser()
    is_local = isinstance(place, Path) and place.is_absolute()
    if is_local or path.parts[:1] == (RUNS,) or path.exists() or path.parent.is_dir() or HUB_ID.fullmatch(text) is None:
        return None
    return text


def find_run(place: Path | str, revision: str | None = None, offline: bool | None = None) -> Path:
    """The folder of a run: a local one as it is, one of the hub from its cache, downloaded where needed.

    Raises:
        RunError: `revision` is given for a local folder, or the hub does not give the run.
    """
    name = hub_id(place)
    if name is None:
        if revision is not None:
            raise RunError(
                f"{option('--revision', 'revision')} is {revision!r}, for a run on the hub (OWNER/NAME), not with a "
                f"folder ({place}); leave it out."
            )
        return Path(place).expanduser()
    return fetch_snapshot(name, revision, FILES, offline, RUN)
