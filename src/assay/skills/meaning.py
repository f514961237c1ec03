"""Texts by what they mean: vectors of a sentence model that a package ships.

    v(text) = mean over its tokens t of E[t], of length 1;   score = v(task) v(skill), in [-1, 1]

E is what WordLlama 0.4 (Miller 2024, https://github.com/dleemiller/WordLlama, MIT) ships: 32,000
rows of 256 numbers, 16 MB, trained so that sentences that mean the same lie near each other. Its
files are read here, and the package itself is not imported: it turns the process's logging on, and
looks for what it does not find on the net. Numbers are those that it gives.
"""

import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from jaxtyping import Float32

from assay.errors import DataError, MissingExtraError, imported

_PACKAGE: Final = "wordllama"
_WEIGHTS: Final = "weights/l2_supercat_256.safetensors"
_HALF: Final = re.compile(r"[\ud800-\udfff]")
"""Half a surrogate pair, which no tokenizer takes; by words (`skills.retrieval`) it ends a word."""
_WORDS: Final = "tokenizers/l2_supercat_tokenizer_config.json"


@final
class Meaning:
    """The model, loaded."""

    def __init__(self, folder: Path) -> None:
        """Reads the package's files.

        Raises:
            MissingExtraError: what reads them is not installed.
            DataError: they are not there.
        """
        to = "retrieval by embeddings"
        weights: Any = imported("safetensors.numpy", extra="embeddings", to=to)
        words: Any = imported("tokenizers", extra="embeddings", to=to)
        for name in (_WEIGHTS, _WORDS):
            if not (folder / name).is_file():
                raise DataError(f"{folder / name}: not there; expected {_PACKAGE} 0.4 with its "
                                "model, as the extra [embeddings] installs it")  # fmt: skip
        self._of = weights.load_file(folder / _WEIGHTS)["embedding.weight"].astype(np.float32)
        self._words = words.Tokenizer.from_file(str(folder / _WORDS))
        self._words.no_truncation()
        self._words.no_padding()

    def __call__(self, texts: Sequence[str]) -> Float32[np.ndarray, "N 256"]:
        """Returns the vectors of some texts, each by itself; of one without tokens, zeros."""
        made = np.zeros((len(texts), self._of.shape[1]), np.float32)
        whole = [*map(_whole, texts)]
        for at, one in enumerate(self._words.encode_batch(whole, add_special_tokens=False)):
            if one.ids:
                mean = self._of[one.ids].mean(0)
                made[at] = mean / max(float(np.linalg.norm(mean)), 1e-9)
        return made


def _whole(text: str) -> str:
    """Returns a text without halves of surrogate pairs, as if spaces stood there."""
    return " ".join(_HALF.sub(" ", text).split()) if _HALF.search(text) else text


@cache
def opened() -> Meaning:
    """Returns the model of this machine.

    Raises:
        MissingExtraError: the extra [embeddings] is not installed.
        DataError: the package holds no model.
    """
    found = find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError.of(_PACKAGE, extra="embeddings", to="retrieval by embeddings")
    return Meaning(Path(found.submodule_search_locations[0]))
