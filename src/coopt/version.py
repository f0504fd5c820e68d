"""The version of coopt, read by the build, and those of the packages that a result depends on."""

from collections.abc import Iterable

__version__ = "0.1.0"


def describe_versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of coopt, of Python and of those of `packages` that are installed, by name."""
    import platform
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    found = {"coopt": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
