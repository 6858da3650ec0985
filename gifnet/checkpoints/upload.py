"""Files committed to a repository of the Hugging Face Hub."""

from collections.abc import Mapping
from pathlib import Path

from ..errors import CheckpointError
from .hub import check_repository


def check_destination(repository: str, branch: str | None = None) -> None:
    """Raise CheckpointError for what can't be the name of a repository to push to, or of a branch of one."""
    whole = repository if "/" in repository else f"own/{repository}"  # the Hub knows whose, by the token
    check_repository(whole, branch, repository)


def upload(
    files: Mapping[str, Path],
    repository: str,
    message: str,
    private: bool | None,
    token: str | bool | None,
    branch: str | None,
    create_pr: bool,
    keep: str | None,
) -> str:
    """Commit files, by their names in the repository, which is made if need be; returns the commit's URL.

    ``keep`` names a file that is left out if the repository has it already. Raises CheckpointError.
    """
    # Slow to import, and of use to nobody who uploads nothing.
    from huggingface_hub import CommitOperationAdd, HfApi, constants
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # listed in its errors.py since 0.25 only
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    api = HfApi(token=token, library_name="gifnet")
    try:
        whole = api.create_repo(repository, private=private, exist_ok=True).repo_id
        kept = keep is not None and api.file_exists(whole, keep, revision=branch)
        # One commit, which upload_folder does not promise.
        return api.create_commit(
            whole,
            [CommitOperationAdd(name, str(path)) for name, path in files.items() if not (kept and name == keep)],
            commit_message=message,
            revision=branch,
            create_pr=create_pr,
        )
    except RevisionNotFoundError as error:
        raise CheckpointError(
            f"{repository}: the repository has no branch {branch!r}; make it first (huggingface_hub.create_branch), or "
            "leave branch out"
        ) from error
    except Exception as error:  # the HTTP client's own, which differ between versions of huggingface_hub
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403) or isinstance(error, RepositoryNotFoundError):
            advice = "log in with a token that may write there: hf auth login, or token="
        elif constants.HF_HUB_OFFLINE:
            advice = "offline mode is on: unset HF_HUB_OFFLINE"
        else:
            advice = "check the network, proxy and HF_ENDPOINT, and try again"
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise CheckpointError(f"{repository}: pushing to {constants.ENDPOINT} failed ({reason}); {advice}") from error
