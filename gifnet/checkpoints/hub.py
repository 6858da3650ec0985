"""Where weights come from: the bundled file, a file of the user's, or a repository of the Hugging Face Hub."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn

from ..errors import CheckpointError
from ..networks.registry import registered
from .format import check_sha256, file_sha256, read_config, read_weights

BUNDLED = "gifnet"  # the model where none is named

_VALID = f'give "{BUNDLED}" (the bundled weights), a .safetensors file, or a Hub repository "org/name[@revision]"'
_PICKLES = (".pth", ".pt", ".bin", ".ckpt")
_REPOSITORY = re.compile(r"(?P<repository>[^/\\@\s]+/[^/\\@\s]+)(?:@(?P<revision>\S+))?")
# Both become folders of the cache: no part of them may lead out of it. The Hub's own names have these characters.
_NAME = r"(?!.*(\.\.|--))[A-Za-z0-9_][\w.-]{0,95}"
_VALID_REPOSITORY = re.compile(rf"{_NAME}/{_NAME}", re.ASCII)
_VALID_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][\w.+-]*(/[A-Za-z0-9_][\w.+-]*)*", re.ASCII)


@dataclass(frozen=True)
class ResolvedWeights:
    """Weights found on this machine."""

    path: Path  # the safetensors file
    config_path: Path | None  # its config.json, where it came with one
    label: str  # what it is called in messages: "gifnet", the path or the repository, as given
    sha256: str | None = field(default=None, compare=False)  # of what was loaded from there; None: nothing was yet
    notes: Mapping[str, str] = field(default_factory=dict, compare=False)  # likewise


@dataclass(frozen=True)
class Access:
    """How files of a repository are fetched, in ``huggingface_hub``'s words; by default as its environment says."""

    cache_dir: str | os.PathLike[str] | None = None
    force_download: bool = False
    token: str | bool | None = None
    local_files_only: bool = False


AS_USUAL = Access()


def load_model(
    name_or_path: str | os.PathLike[str],
    sha256: str | None = None,
    revision: str | None = None,
    access: Access = AS_USUAL,
) -> tuple[nn.Module, ResolvedWeights]:
    """``resolve`` and read: the network in its plain form (float32, CPU, evaluation mode) and where it came from.

    Raises CheckpointError for whatever ``resolve`` and ``format.load_weights`` refuse.
    """
    found = resolve(name_or_path, revision=revision, access=access)
    config = read_config(found.config_path) if found.config_path is not None else None
    loaded = read_weights(found.path, sha256, config)
    return loaded.network, replace(found, sha256=loaded.sha256, notes=loaded.notes)


def resolve(
    name_or_path: str | os.PathLike[str],
    sha256: str | None = None,
    revision: str | None = None,
    access: Access = AS_USUAL,
) -> ResolvedWeights:
    """Find weights by name, and fetch them where need be.

    ``"gifnet"``, and the name of any other network with bundled weights, is its bundled file. What exists as a file,
    looks like a path (ends in .safetensors, begins with a dot, ``~`` or the root) or is a path object is a file. A
    folder that exists must hold ``model.safetensors``, as a repository does. Both go before a repository of that name.
    ``"org/name[@revision]"`` is a Hub repository with ``model.safetensors`` and usually ``config.json``;
    huggingface_hub fetches and caches it, and goes by HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT and the stored login.
    ``sha256`` is the hash that the safetensors file must have. ``revision`` is of a repository, as ``@revision`` is;
    ``access`` says how its files are fetched. For files on this machine both are of no matter.

    Raises CheckpointError, saying what to do, when there are no such weights, they can't be fetched, or have
    another hash.
    """
    found = _find(name_or_path, revision, access)
    if sha256 is not None:
        check_sha256(found.path, sha256)
    return found


def local_files(name_or_path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The files that a name means on this machine as it is now; none where it may be a repository's.

    Raises CheckpointError for what can be neither.
    """
    found = _find_here(name_or_path)
    return () if found is None else (found.path, *([found.config_path] if found.config_path else []))


def _find(name_or_path: str | os.PathLike[str], revision: str | None, access: Access) -> ResolvedWeights:
    found = _find_here(name_or_path)
    if found is not None:
        return found
    name = os.fspath(name_or_path)
    repository = _REPOSITORY.fullmatch(name)
    if not repository and name in registered():
        raise CheckpointError(
            f"{name}: gifnet knows this network, but comes with no weights for it; give a .safetensors file, such as "
            f"gifnet train --network {name} makes"
        )
    if not repository:
        raise CheckpointError(f"{name!r} is no file and no weights that gifnet knows; {_VALID}")
    if revision is not None and repository["revision"] not in (None, revision):
        raise CheckpointError(f"{name}: names a revision, and revision={revision!r} another one; give one of them")
    revision = revision if repository["revision"] is None else repository["revision"]
    check_repository(repository["repository"], revision, name)
    return _fetch(repository["repository"], revision, name, access)


def _find_here(name_or_path: str | os.PathLike[str]) -> ResolvedWeights | None:
    """Weights that are bundled or lie on this machine; None for what may name a repository."""
    name = os.fspath(name_or_path)
    if isinstance(name_or_path, str) and (bundled := _bundled_file(name)):
        return ResolvedWeights(_bundled(bundled), None, name)
    path = Path(os.path.expanduser(name))
    named_as_file = isinstance(name_or_path, os.PathLike) or name.startswith((".", "~")) or path.is_absolute()
    if path.suffix.lower() in _PICKLES:
        raise CheckpointError(
            f"{name}: a PyTorch checkpoint, which gifnet does not load; the paper's is converted with: "
            f"gifnet convert {name} OUT.safetensors"
        )
    if os.path.isfile(path):  # also when it is named like a repository
        return ResolvedWeights(path, None, name)
    if name and os.path.isdir(path):
        return _in_folder(path, name)
    if name and os.path.lexists(path):
        raise CheckpointError(f"{name}: is no regular file; {_VALID}")
    if named_as_file or path.suffix.lower() == ".safetensors":
        raise CheckpointError(f"{name}: no such file; {_VALID}")
    return None


def _in_folder(folder: Path, label: str) -> ResolvedWeights:
    """The weights in a folder that is as a repository, such as ``Fuser.save_pretrained`` makes."""
    weights, config = folder / "model.safetensors", folder / "config.json"
    if os.path.lexists(weights):
        return ResolvedWeights(weights, config if os.path.lexists(config) else None, label)
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    there = f"; it has {', '.join(others[:3])}" if others else ""
    raise CheckpointError(
        f"{label}: a folder without model.safetensors{there}; give the .safetensors file in it, or if a Hub repository "
        "of this name is meant, call from another folder"
    )


def check_repository(repository: str, revision: str | None, label: str) -> None:
    """Raise CheckpointError for what can't be the name of a repository, or of a revision of one."""
    if not _VALID_REPOSITORY.fullmatch(repository):
        raise CheckpointError(f"{label}: not a valid Hub repository name ({repository!r}); {_VALID}")
    if revision is not None and not _VALID_REVISION.fullmatch(revision):
        raise CheckpointError(f"{label}: not a valid revision ({revision!r}); give a branch, tag or commit")


def _bundled_file(name: str) -> str | None:
    """The file of the bundled weights of this name, if there are any."""
    network = registered().get(name)
    return network.weights if network else None


def _bundled_path(file: str) -> Path | None:
    return next((path for path in _bundled_candidates(file) if path.is_file()), None)


def _bundled_candidates(file: str) -> list[Path]:
    """As installed from a wheel, and in a checkout (an editable installation)."""
    package = Path(__file__).resolve().parents[1]
    return [folder / "weights" / file for folder in (package, package.parent)]


def _bundled(file: str) -> Path:
    path = _bundled_path(file)
    if path is not None:
        return path
    candidates = _bundled_candidates(file)
    raise CheckpointError(
        f"the bundled weights are missing (neither {candidates[0]} nor {candidates[1]} exists); reinstall gifnet, or "
        "give a .safetensors file or a Hub repository"
    )


def is_bundled(sha256: str) -> bool:
    """Whether weights of this hash come with gifnet."""
    files = (network.weights for network in registered().values() if network.weights)
    return any(path is not None and file_sha256(path) == sha256 for path in map(_bundled_path, files))


def bundled_card(sha256: str) -> str | None:
    """The model card that comes with gifnet for weights of this hash, if there is one.

    It lies beside the weights under their name; GIFNet's is the folder's README.
    """
    for network in registered().values():
        path = _bundled_path(network.weights) if network.weights else None
        for card in (path.with_suffix(".md"), path.with_name("README.md")) if path else ():
            text = card.read_text(encoding="utf-8") if card.is_file() else ""
            if sha256 in text:
                return text
    return None


def _fetch(repository: str, revision: str | None, label: str, access: Access) -> ResolvedWeights:
    """Both files of a Hub repository, of one commit; config.json may be absent."""
    path = _download(repository, "model.safetensors", revision, label, access)
    if path is None:
        raise CheckpointError(
            f"{label}: the repository has no model.safetensors at this revision; give one with gifnet weights"
        )
    # The cache keeps a commit's files in snapshots/COMMIT/, so this names the commit that the weights are of; a file
    # of a commit that is cached needs no network.
    commit = path.parent.name
    return ResolvedWeights(path, _download(repository, "config.json", commit, label, access, optional=True), label)


def _download(
    repository: str, filename: str, revision: str | None, label: str, access: Access, optional: bool = False
) -> Path | None:
    """A file of a repository, from the Hub or its cache; None when the repository doesn't have it.

    An ``optional`` file is None also when the Hub can't be asked: a cached repository may well not have it.
    """
    # Slow to import, and of use to nobody who loads a file.
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # listed in its errors.py since 0.25 only
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return Path(hf_hub_download(repository, filename, revision=revision, **vars(access)))
    except HFValidationError as error:
        raise CheckpointError(f"{label}: not a valid Hub repository name ({_first_line(error)}); {_VALID}") from error
    except GatedRepoError as error:  # before the more general RepositoryNotFoundError
        raise CheckpointError(
            f"{label}: access to this repository must be granted; ask for it at {constants.ENDPOINT}/{repository} and "
            "log in with: hf auth login"
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{label}: no such repository at {constants.ENDPOINT}; check the spelling of {repository!r}, and if it is "
            "private log in with: hf auth login"
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(
            f"{label}: the repository has no revision {revision!r}; give a branch, tag or commit of it, or leave "
            "@revision out for its main branch"
        ) from error
    except LocalEntryNotFoundError as error:  # before the more general EntryNotFoundError
        if optional:
            return None
        cache = os.fspath(access.cache_dir or constants.HF_HUB_CACHE)
        if access.local_files_only:
            raise CheckpointError(
                f"{label}: {filename} is not in the cache ({cache}) and local_files_only is set; leave that out to "
                "fetch it, or pass a local .safetensors file"
            ) from error
        if constants.HF_HUB_OFFLINE:
            raise CheckpointError(
                f"{label}: {filename} is not in the cache ({cache}) and offline mode is on; unset HF_HUB_OFFLINE to "
                "fetch it, or pass a local .safetensors file"
            ) from error
        raise CheckpointError(
            f"{label}: {filename} is not in the cache ({cache}) and {constants.ENDPOINT} does not answer; check the "
            "network, proxy and HF_ENDPOINT, or pass a local .safetensors file"
        ) from error
    except EntryNotFoundError:
        return None
    except Exception as error:  # the HTTP client's own, which differ between versions of huggingface_hub
        raise CheckpointError(
            f"{label}: fetching {filename} from {constants.ENDPOINT} failed ({_first_line(error)}); check the network "
            "and the free disk space and try again, or pass a local .safetensors file"
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
