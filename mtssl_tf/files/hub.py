"""Folders on the Hugging Face Hub, as `hf://USER/NAME`."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
from typing import Any

from mtssl_tf.files import error_text

_START = "hf://"
_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def is_on_hub(place: str | os.PathLike) -> bool:
    """Returns whether a place is on the hub."""
    return os.fspath(place).startswith(_START)


def check_upload(place: str) -> None:
    """Checks all that can be before there is something to upload.

    Raises:
        ValueError: the name is none, the package is missing, or there is no
            token.
    """
    _repository(place)
    if not _package().get_token():
        raise ValueError(
            f"{place}: there is no token to upload with. Log in with `hf auth "
            "login`, or set HF_TOKEN."
        )


def upload(folder: pathlib.Path, place: str) -> None:
    """Uploads a folder in one commit; the repository is made if missing.

    Raises:
        ValueError: as `check_upload`.
        OSError: the hub refuses, or is not reached.
    """
    repository, hub = _repository(place), _package()
    api = hub.HfApi()
    try:
        api.create_repo(repository, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=str(folder))
    except Exception as error:  # of the hub's own, and of its HTTP client
        raise OSError(
            f"{place} could not be written: {error_text.first_line(error)}"
        ) from error


def download(place: str) -> pathlib.Path:
    """Returns a folder of this machine with what is there.

    Raises:
        ValueError: the name is none, or the package is missing.
        FileNotFoundError: there is no such repository, or it is not reached.
    """
    repository, hub = _repository(place), _package()
    try:
        return pathlib.Path(hub.snapshot_download(repository))
    except Exception as error:
        raise FileNotFoundError(
            f"{place} could not be read: {error_text.first_line(error)}"
        ) from error


def _repository(place: str) -> str:
    name = place.removeprefix(_START)
    if not _NAME.fullmatch(name):
        raise ValueError(f"{place} is not of the form {_START}USER/NAME.")
    return name


def _package() -> Any:
    if importlib.util.find_spec("huggingface_hub") is None:
        raise ValueError(
            f"{_START} needs the package huggingface_hub: pip install "
            "'mtssl_tf[hub]'."
        )
    import huggingface_hub

    return huggingface_hub
