"""Published shape models: what the registry knows, and downloading one of them once."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osteoform._errors import InputError, MissingExtraError, ModelFileError
from osteoform._output import check_file
from osteoform._tables import shipped_table
from osteoform._types import Side

CACHE_VARIABLE = "OSTEOFORM_CACHE"
_TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """A shape model that others publish.

    Attributes
    ----------
    bones, side
        Bones of ours that it holds, and of which leg.
    source, url, file
        The project's page, the address of the file, and its name in the cache.
    num_bytes, sha256
        What the file must be.
    licence, licence_url, authors
        Under which terms, and whose it is.
    """

    name: str
    title: str
    bones: tuple[str, ...]
    side: Side
    source: str
    url: str
    file: str
    num_bytes: int
    sha256: str
    licence: str
    licence_url: str
    authors: str


@dataclass(frozen=True, kw_only=True)
class FetchedModel:
    """A published model on this machine; `downloaded` is False where it was there already."""

    model: PublishedModel
    path: Path
    downloaded: bool


def registry() -> dict[str, PublishedModel]:
    """The published models that can be fetched, by name."""
    return {name: _entry(name, row) for name, row in shipped_table("registry").items()}


def _entry(name: str, row: Mapping[str, Any]) -> PublishedModel:
    return PublishedModel(name=name, **(dict(row) | {"bones": tuple(row["bones"])}))


def cache_folder() -> Path:
    """Where fetched files are kept: `$OSTEOFORM_CACHE`, else the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path(_pooch().os_cache("osteoform"))


def fetch_model(
    name: str,
    *,
    cache: str | Path | None = None,
    known: Mapping[str, PublishedModel] | None = None,
) -> FetchedModel:
    """Download a published model, unless the cache holds it, and check its SHA-256.

    A file in the cache that is not what it should be is replaced.

    Parameters
    ----------
    cache
        Folder to keep the file in. None: `cache_folder()`.
    known
        The models to choose from. None: `registry()`.

    Raises
    ------
    InputError
        No model has this name, or the cache is no folder that can be written to.
    ModelFileError
        The file cannot be downloaded, or is not the one that was published; nothing is left.
    MissingExtraError
        Pooch is not installed.
    """
    models = registry() if known is None else known
    if name not in models:
        raise InputError(f"no published model {name!r}; known are {', '.join(models) or 'none'}")
    model = models[name]
    path = (cache_folder() if cache is None else Path(cache)) / model.file
    check_file(path)
    before = _stamp(path)
    _retrieve(model, path)
    return FetchedModel(model=model, path=path, downloaded=_stamp(path) != before)


def _retrieve(model: PublishedModel, path: Path) -> None:
    pooch = _pooch()
    import requests

    known_hash = f"sha256:{model.sha256}"
    by_hand = f"or save {model.url} as {path}"
    try:
        with _quiet():
            pooch.retrieve(
                model.url,
                known_hash=known_hash,
                fname=path.name,
                path=path.parent,
                downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_S),
            )
    except requests.exceptions.HTTPError as error:
        found = error.response.status_code if error.response is not None else "no answer"
        raise ModelFileError(
            f"{model.url}: needed the file, found HTTP status {found}; see {model.source}"
        ) from None
    except requests.exceptions.RequestException as error:
        raise ModelFileError(
            f"{model.name} cannot be downloaded ({_reason(error)}): go online and try again, "
            f"{by_hand}"
        ) from None
    except ValueError:  # pooch: the hash differs
        raise ModelFileError(
            f"{model.url}: needed the published file of {model.num_bytes} bytes with SHA-256 "
            f"{model.sha256}, found another one; nothing was kept. Try again; if it stays so, the "
            f"file at {model.source} has changed"
        ) from None


def _reason(error: Exception) -> str:
    """Why, in words; requests' own messages are nested and long."""
    import requests

    if isinstance(error, requests.exceptions.Timeout):
        return f"no answer within {_TIMEOUT_S:g} s"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "no connection"
    return type(error).__name__


def _stamp(path: Path) -> tuple[int, int] | None:
    """Identity of a file's contents on disk: pooch never writes into a file, it replaces it."""
    if not path.is_file():
        return None
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns


@contextmanager
def _quiet() -> Iterator[None]:
    """Without pooch's own messages."""
    logger: logging.Logger = _pooch().get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _pooch() -> Any:
    try:
        import pooch
    except ImportError as error:
        raise MissingExtraError("fetching a model needs osteoform[ssm]") from error
    return pooch
