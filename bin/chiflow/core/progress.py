"""Progress bars for people: on a terminal only, never in a log."""

from collections.abc import Iterable

from tqdm import tqdm


def progress(items: Iterable, description: str) -> Iterable:
    """The items, with a bar on standard error when that is a terminal."""
    return tqdm(items, desc=description, disable=None, leave=False)
