"""The Hugging Face hub: models are fetched, or found in its cache.

Only safetensors files, JSON and tokenizer files are ever fetched. Errors of the hub's client become
`InputError`.
"""

from __future__ import annotations

from pathlib import Path

from banditrft.errors import InputError

SMALL = ("*.json", "*.jinja", "*.txt", "tokenizer.model", "*.tiktoken")
WEIGHTS = ("model.safetensors", "model-*.safetensors")


def download(name: str, revision: str | None = None, *, weights: bool = True) -> Path:
    """Fetch a model from the Hugging Face hub, or find it in the hub's cache.

    Args:
        name: ORG/NAME.
        revision: Commit, branch or tag.
        weights: Whether to fetch the safetensors files too.

    Returns:
        Its folder in the cache, named by the commit.

    Raises:
        InputError: no such model, no access, or the hub cannot be reached and the cache does not hold it.
    """
    from huggingface_hub import snapshot_download

    wanted = [*SMALL, *(WEIGHTS if weights else ())]
    with _HubErrors(name, revision):
        folder = Path(
            snapshot_download(name, revision=revision, allow_patterns=wanted, ignore_patterns=["*/*"])
        )
    if not (folder / "config.json").is_file():
        raise InputError(f"model {name}: the hub's repository (or the cache, offline) has no config.json")
    return folder


def remote_parameters(name: str, revision: str | None = None) -> int:
    """Number of parameters of a model on the hub, from the headers of its safetensors files alone.

    Raises:
        InputError: no such model, no safetensors, or the hub cannot be reached.
    """
    from huggingface_hub import get_safetensors_metadata

    with _HubErrors(name, revision):
        return sum(get_safetensors_metadata(name, revision=revision).parameter_count.values())


class _HubErrors:
    """Turns what the hub's client raises into one InputError."""

    def __init__(self, name: str, revision: str | None) -> None:
        self.model = name if revision is None else f"{name} at {revision}"

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        from huggingface_hub import errors

        if isinstance(error, errors.GatedRepoError):
            raise InputError(f"model {self.model}: access is restricted; run `hf auth login`") from None
        if isinstance(error, errors.RepositoryNotFoundError | errors.RevisionNotFoundError):
            raise InputError(f"model {self.model}: not a folder, and not on the Hugging Face hub") from None
        if isinstance(error, errors.NotASafetensorsRepoError):
            raise InputError(f"model {self.model}: no safetensors weights on the hub") from None
        if isinstance(error, OSError | ValueError | errors.HfHubHTTPError):
            raise InputError(
                f"model {self.model}: not a folder, and the Hugging Face hub cannot be reached and its cache "
                f"does not hold it ({brief(error)})"
            ) from None


def brief(error: BaseException) -> str:
    """The first line of an error; its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
