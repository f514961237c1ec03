"""The starting policy's tokenizer: byte-level pairs, so that any text has ids and comes back."""

from collections.abc import Iterable
from typing import Any, Final

from assay.errors import MissingExtraError

PAD: Final = "<|pad|>"
END: Final = "<|end|>"
SIZE: Final = 1536
_PIECES: Final = r"[0-9]{1,2}| ?[a-z]+|[A-Z][A-Za-z]*|\n|[^A-Za-z0-9]"
"""What is never merged across: numbers of two digits, lower-case words with the space before them,
names without it (so that a name has the same tokens wherever it stands), single marks."""


def train(texts: Iterable[str]) -> Any:
    """Returns a `PreTrainedTokenizerFast` of `SIZE` tokens: padding is 0, the end is 1.

    Raises:
        MissingExtraError: transformers is not installed.
    """
    try:
        from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast
    except ImportError:
        raise MissingExtraError.of("transformers", extra="train", to="the policy") from None
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )
