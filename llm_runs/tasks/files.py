r"""Tasks read from files: GSM8K and MATH, of the Hugging Face hub or of one's own, and any questions at all.

`gsm8k` and `math` add to a bare question how to answer it, in the words of arXiv 2601.22532, which are
verl's; a file in verl's layout contains them already and is taken as it is, and so is every file of the task
`file`. The hub's files are Parquet, fetched once and then read from huggingface_hub's cache (`HF_HOME`,
`HF_HUB_OFFLINE` and `HF_TOKEN` mean what they always mean).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from banditrft.errors import InputError, Problems
from llm_runs.graders import Grader, load_grader
from llm_runs.tasks.data import Question, read_questions
from llm_runs.tasks.listed import Listed


@dataclass(frozen=True)
class Source:
    """A data set on the hub.

    Attributes:
        repository: Its name there.
        folder: Folder of its files.
        instruction: Added to a bare question.
        grader: Who grades it.
    """

    repository: str
    folder: str
    instruction: str
    grader: str


SOURCES = {
    "gsm8k": Source(
        "openai/gsm8k",
        "main",
        'Let\'s think step by step and output the final answer after "####".',
        "gsm8k",
    ),
    "math": Source(
        "DigitalLearningGmbH/MATH-lighteval",
        "data",
        r"Let's think step by step and output the final answer within \boxed{}.",
        "math",
    ),
}


class Files(Listed):
    """Questions of two files.

    Args:
        name: "gsm8k", "math" or "file".
        train_file: Questions to train on; None fetches the hub's.
        test_file: Held-out questions, likewise.
        grader: Who grades them [default: the data set's own]; "file" has none.

    Raises:
        InputError: A file cannot be read or fetched, or no grader is known.
    """

    def __init__(
        self, name: str, train_file: str | None, test_file: str | None, grader: str | None = None
    ) -> None:
        source = SOURCES.get(name)
        if (train_file is None) != (test_file is None):
            raise InputError("train_file, test_file: both or neither must be given")
        if source is None and (train_file is None or grader is None):
            raise InputError(f"task: {name!r} needs train_file, test_file and grader")
        self.name = name
        self._grader = grader or (source.grader if source else "")
        instruction = source.instruction if source else ""
        with self.grader() as judge:
            self.mark = judge.mark
            problems = Problems()
            self._questions = {
                split: problems.attempt(_read, _path(source, file, stem), judge, instruction) or []
                for split, file, stem in (("pool", train_file, "train"), ("test", test_file, "test"))
            }
            problems.settle()

    def grader(self) -> Grader:
        """The grader of the files' answers."""
        return load_grader(self._grader)

    def questions(self, split: str) -> Sequence[Question]:
        """The questions of a file, in its order."""
        return self._questions[split]


def _path(source: Source | None, file: str | None, stem: str) -> Path:
    if file is not None:
        return Path(file)
    assert source is not None
    return _fetched(source, f"{source.folder}/{stem}-00000-of-00001.parquet")


def _fetched(source: Source, file: str) -> Path:
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError:
        raise InputError("huggingface_hub: is not installed; pip install 'banditrft[llm]'") from None
    # What the hub's HTTP library raises is no OSError; which library that is depends on the version.
    failures: tuple[type[Exception], ...] = (OSError, ValueError)
    failures += tuple(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception))
    try:
        return Path(hf_hub_download(source.repository, file, repo_type="dataset"))
    except failures as error:
        raise InputError(
            f"task: {file} of the data set {source.repository} could not be fetched from the Hugging Face "
            f"hub ({type(error).__name__}); give train_file and test_file (.jsonl or .parquet) instead"
        ) from error


def _read(path: Path, grader: Grader, instruction: str) -> list[Question]:
    return [_instructed(question, instruction) for question in read_questions(path, grader.reference)]


def _instructed(question: Question, instruction: str) -> Question:
    if not question.bare or not instruction:
        return question
    (message,) = question.messages
    return replace(question, messages=(message._replace(content=f"{message.content} {instruction}"),))
