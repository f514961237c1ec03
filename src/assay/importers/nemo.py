"""NeMo-RL `train_data_step{N}.jsonl`: one line a sample, each value a batch of one.

Rows are padded to the longest of the batch, `input_lengths` says where a row ends, and the loss
mask says which tokens the policy wrote. The log has no group, so samples of one step with one
prompt form one. The engine's own advantages are not carried over: Assay computes its own credit.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

from assay.errors import DataError
from assay.importers.base import Importer, Losses, Probe
from assay.importers.folders import files_of
from assay.importers.messages import count_keys, number, origin, typed
from assay.importers.reading import documents
from assay.importers.tokens import Groups, floats_of, ids_of, mask_of, runs_of, whole, with_tokens
from assay.records import Ledger, ModelStep, Origin, Step, ToolStep, Trajectory, UserStep

_FILE = re.compile(r"train_data_step([0-9]+)\.jsonl")
_KEYS = frozenset(
    [
        "content",
        "rewards",
        "filtered_rewards",
        "input_lengths",
        "token_ids",
        "token_loss_mask",
        "sample_loss_mask",
        "advantages",
        "generation_logprobs",
        "prev_logprobs",
        "agent_ref",
        "idx",
    ]
)


@final
class Nemo(Importer):
    """One file or the log folder that holds several."""

    name: ClassVar[str] = "nemo"
    title: ClassVar[str] = "NeMo-RL train data"

    def recognises(self, probe: Probe) -> bool:
        if probe.names:
            return any(_is_file(name.rsplit("/", 1)[-1]) for name in probe.names)
        return probe.has("token_ids", "token_loss_mask", "rewards")

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        groups = Groups()
        for file in files_of(path, _is_file, "train_data_step*.jsonl", losses):
            for index, (where, line) in enumerate(documents(file)):
                line = typed(line, dict, where, "an object with token_ids and token_loss_mask")
                at = origin("nemo", file, index)
                yield _trajectory(line, where, at, groups, losses)


def _is_file(name: str) -> bool:
    return _FILE.fullmatch(name) is not None


def _step_of(path: Path) -> str | None:
    match = _FILE.fullmatch(path.name)
    return None if match is None else match[1]


def _one(line: dict[str, Any], key: str, where: str) -> Any:
    """Returns the value of a batch of one; None where the key is missing."""
    value = line.get(key)
    if isinstance(value, list):
        if len(value) != 1:
            raise DataError(f"{where}.{key}: got {len(value)} values; expected a batch of one")
        return value[0]
    return value


def _trajectory(
    line: dict[str, Any], where: str, at: Origin, groups: Groups, losses: Losses
) -> Trajectory:
    row = {key: _one(line, key, where) for key in line.keys() & _KEYS}
    count_keys(line, _KEYS, where, losses)
    for key, kind in (("advantages", "engine_advantages"), ("prev_logprobs", "trainer_logprobs")):
        if row.get(key) is not None:
            losses.add(kind, where)
    ids, mask, logprobs = _columns(row, where)
    step = _step_of(Path(at.path))
    steps = _steps(ids, mask, logprobs, _texts(row, where), _masked(row, where), where, losses)
    prompt = ids[: mask.index(True)] if True in mask else ids
    task = f"prompt-{hashlib.sha256(repr(prompt).encode()).hexdigest()[:12]}"
    group = task if step is None else f"step{step}-{task}"
    return Trajectory(
        id=f"{at.path}/{at.index}",
        task=task,
        group=group,
        trial=groups.trial(group),
        steps=steps,
        outcome=_outcome(row, where, losses),
        policy_version=step,
        ledger=Ledger(tokens=sum(mask)),
        origin=at,
    )


def _outcome(row: dict[str, Any], where: str, losses: Losses) -> float | None:
    """Returns the reward of the row.

    With dynamic sampling `rewards` are those of the batch before it was filtered, and line up with
    nothing: `filtered_rewards` are those of the rows.
    """
    if row.get("filtered_rewards") is not None:
        losses.add("rewards_before_filter", where)
        outcome = number(row, "filtered_rewards", where)
    else:
        outcome = number(row, "rewards", where)
    if outcome is None:
        losses.add("no_outcome", where)
    return outcome


def _masked(row: dict[str, Any], where: str) -> bool:
    """Is the whole sample kept out of the loss?"""
    return number(row, "sample_loss_mask", where) == 0


def _columns(
    row: dict[str, Any], where: str
) -> tuple[tuple[int, ...], tuple[bool, ...], tuple[float | None, ...] | None]:
    """Returns ids, mask and sampling log-probabilities, without the padding."""
    ids = ids_of(row.get("token_ids"), f"{where}.token_ids")
    mask = mask_of(row.get("token_loss_mask"), f"{where}.token_loss_mask")
    if len(mask) != len(ids):
        raise DataError(
            f"{where}.token_loss_mask: got {len(mask)} values; expected one per token, {len(ids)}"
        )
    n = whole(row, "input_lengths", where)
    n = len(ids) if n is None else n
    if not 0 <= n <= len(ids) or any(mask[n:]):
        raise DataError(f"{where}.input_lengths: got {n}; expected the end of {len(ids)} tokens")
    raw = row.get("generation_logprobs")
    logprobs = None if raw is None else floats_of(raw, f"{where}.generation_logprobs")
    return ids[:n], mask[:n], logprobs if logprobs is None else logprobs[:n]


def _texts(row: dict[str, Any], where: str) -> list[str]:
    """Returns the texts of the sample's messages; old logs have one text in all."""
    content = row.get("content")
    if content is None or isinstance(content, str):
        return [content] if content else []
    typed(content, list, f"{where}.content", "text or a list of texts")
    return [typed(text, str, f"{where}.content", "text") for text in content]


def _steps(
    ids: tuple[int, ...],
    mask: tuple[bool, ...],
    logprobs: tuple[float | None, ...] | None,
    texts: list[str],
    masked: bool,
    where: str,
    losses: Losses,
) -> tuple[Step, ...]:
    """Returns a step per run of the mask: what the policy wrote, and what it was told between.

    Texts are given to the runs only where there is one for each: two messages of the world that
    follow each other are one run, and which texts they are cannot be seen.
    """
    runs: list[tuple[int, int, bool]] = []
    at = 0
    for start, end in runs_of(mask):
        if at < start:
            runs.append((at, start, False))
        runs.append((start, end, True))
        at = end
    if at < len(ids):
        runs.append((at, len(ids), False))
    if len(texts) != len(runs):
        losses.add("text_not_aligned", where)
        texts = [""] * len(runs)
    steps: list[Step] = []
    for (start, end, written), text in zip(runs, texts, strict=True):
        own = ids[start:end]
        if written:
            step = ModelStep(text=text, untrainable="masked" if masked else None)
            values = None if logprobs is None else logprobs[start:end]
            steps.append(with_tokens(step, own, None, values, where, losses))
        elif start == 0:
            steps.append(UserStep(text=text, token_ids=own))
        else:
            steps.append(ToolStep(text=text, token_ids=own))
    return tuple(steps)
