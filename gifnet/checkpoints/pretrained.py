"""Models as ``huggingface_hub`` has them: a folder or a repository with weights, configuration and a model card."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from ..errors import CheckpointError
from ..execution.allocator import keep_freed_memory
from ..execution.device import choose_device, choose_dtype
from ..execution.shapes import keep_few_shapes
from ..files.atomic import atomic_path
from ..options.values import Device, Dtype, Name
from .card import CardOptions, model_card
from .format import describe, network_sha256, weights_content
from .hub import Access, load_model
from .upload import check_destination, upload

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"

Self = TypeVar("Self", bound="Pretrained")


class Pretrained:
    """A network with what is known of its weights, on a device, and the ways to the Hugging Face Hub and from it."""

    def __init__(
        self,
        network: nn.Module,
        device: Device = "auto",
        dtype: Dtype = "auto",
        name: str = "",
        sha256: str | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        keep_few_shapes()
        keep_freed_memory()
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.name = name
        self.notes = dict(notes or {})  # texts by name, kept in the weights' file: recipe, source
        self._sha256 = sha256
        self._network = network

    @property
    def sha256(self) -> str:
        """The SHA-256, in hexadecimal, of the file that the weights were read from; else of the file that they make."""
        return self._sha256 or network_sha256(self._network)

    @classmethod
    def from_pretrained(
        cls: type[Self],
        pretrained_model_name_or_path: Name,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        device: Device = "auto",
        dtype: Dtype = "auto",
        sha256: str | None = None,
    ) -> Self:
        """Load a model from the Hugging Face Hub or from a folder, by the conventions of ``huggingface_hub``.

        ``gifnet.load`` does the same by huggingface_hub's own settings, and keeps what it loaded for the next call.

        Args:
            pretrained_model_name_or_path: a repository ``org/name`` or ``org/name@revision``, or whatever else
                ``gifnet.load`` takes. A folder or file on this machine goes before a repository of its name.
            force_download: fetch the files again, even if they are in the cache.
            token: to log in with; by default, or if True, the one that ``hf auth login`` stored; False sends none.
            cache_dir: the folder to keep fetched files in, in place of huggingface_hub's own.
            local_files_only: fetch nothing: take what is in the cache.
            revision: a branch, tag or commit of the repository; by default its main branch.
            device: where to compute, as for ``gifnet.load``.
            dtype: the precision to compute in, as for ``gifnet.load``.
            sha256: if given, the weights' file must have this SHA-256 (hexadecimal).

        Raises:
            CheckpointError: the weights can't be found, fetched or trusted; the message says what to do.
            InputError: no such device or dtype.
        """
        access = Access(cache_dir, force_download, token, local_files_only)
        network, found = load_model(pretrained_model_name_or_path, sha256, revision, access)
        return cls(network, device, dtype, found.label, found.sha256, found.notes)

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        *,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: Mapping[str, Any] | None = None,
        **push_to_hub_kwargs: Any,
    ) -> str | None:
        """Write a folder that ``from_pretrained``, ``gifnet.load`` and the Hub take, all of it or nothing.

        It holds the weights (``model.safetensors``), their configuration (``config.json``) and a model card
        (``README.md``) made of what the weights say of themselves. A card that is there already is kept, unless
        ``model_card_kwargs`` are given.

        Args:
            save_directory: the folder, made if need be.
            repo_id: of the repository to push to; the folder's name by default.
            push_to_hub: push to the Hub too.
            model_card_kwargs: what the card says besides: ``license`` (of the weights, such as ``"mit"``), ``tags``,
                ``datasets``, ``language``, ``base_model``, ``description`` (Markdown), and ``results``, measured
                values by data set and metric: ``{"MSRS": {"VIF": 1.08}}``.
            push_to_hub_kwargs: further arguments of ``push_to_hub``.

        Returns:
            With ``push_to_hub``, the URL of the commit.

        Raises:
            CheckpointError: the folder can't be written, weights that are not finite, or what ``push_to_hub`` raises.
            InputError: an unknown or wrong entry of ``model_card_kwargs``.
        """
        folder = Path(os.path.expanduser(save_directory))
        repository = (repo_id or folder.resolve().name) if push_to_hub else repo_id
        if push_to_hub:
            check_destination(str(repository))
        elif push_to_hub_kwargs:
            raise TypeError(f"{next(iter(push_to_hub_kwargs))}: an argument of push_to_hub=True only")
        save_folder(self._network, folder, self.notes, repository, model_card_kwargs)
        if not push_to_hub:
            return None
        return self.push_to_hub(str(repository), model_card_kwargs=model_card_kwargs, **push_to_hub_kwargs)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str = "Push model using gifnet.",
        private: bool | None = None,
        token: str | bool | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
        model_card_kwargs: Mapping[str, Any] | None = None,
    ) -> str:
        """Upload what ``save_pretrained`` writes to a repository of the Hub, in one commit.

        The repository is made if need be. A model card that it has already is kept, unless ``model_card_kwargs`` are
        given.

        Args:
            repo_id: ``org/name``, or ``name`` for one of your own.
            commit_message: of the commit.
            private: whether a repository that is made is private; by default as the organisation has it, else public.
            token: to log in with, one that may write; by default the one that ``hf auth login`` stored.
            branch: to commit to; by default the main one. It must exist.
            create_pr: commit to a new pull request instead.
            model_card_kwargs: as for ``save_pretrained``.

        Returns:
            The URL of the commit.

        Raises:
            CheckpointError: no valid name, no permission, no network; the repository's files are as they were.
            InputError: an unknown or wrong entry of ``model_card_kwargs``.
        """
        check_destination(repo_id, branch)
        with tempfile.TemporaryDirectory(prefix="gifnet-") as folder:
            save_folder(self._network, Path(folder), self.notes, repo_id, model_card_kwargs)
            paths = {name: Path(folder) / name for name in (WEIGHTS, CONFIG, CARD)}
            keep = CARD if model_card_kwargs is None else None
            return upload(paths, repo_id, commit_message, private, token, branch, bool(create_pr), keep)


def save_folder(
    network: nn.Module,
    folder: Path,
    notes: Mapping[str, str] | None = None,
    name: str | None = None,
    model_card_kwargs: Mapping[str, Any] | None = None,
) -> None:
    """``save_pretrained`` of a plain network; ``name`` is what its card calls it, by default the folder's name."""
    options = CardOptions.checked(model_card_kwargs)
    description = describe(network)
    weights = weights_content(network, folder / WEIGHTS, notes)
    contents = {WEIGHTS: weights, CONFIG: (json.dumps(description, indent=2, sort_keys=True) + "\n").encode()}
    if model_card_kwargs is not None or not os.path.lexists(folder / CARD):
        sha256 = hashlib.sha256(weights).hexdigest()
        card = model_card(name or folder.resolve().name, network, description, dict(notes or {}), sha256, options)
        contents[CARD] = card.encode("utf-8")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as all_or_none:
            for file, content in contents.items():
                all_or_none.enter_context(atomic_path(folder / file)).write_bytes(content)
    except OSError as error:
        raise CheckpointError(f"{folder}: can't be written ({error.strerror or error}); give another folder") from error
