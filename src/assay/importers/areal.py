"""AReaL rollout dumps (`dump_to_file`): `<dump>/<version>/<task_id>.jsonl`, a line a sample.

All samples of a task are in one file, in the folder of the newest version that wrote any of them; a
sample of it may have begun at an older one. Newer dumps have `segments`, which give the turns;
older ones have prompt and completion as text, divided where the last of the trained tokens begin to
count, so that of several turns the first ones stand in the prompt: these are told by the template's
markers alone. The ids of tokens are not kept.
"""

from collections.abc import Iterator
from typing import final

from assay.importers.base import Importer, Record, keys, prompt_name
from assay.importers.chatml import asked, observed, parts_of, told, wrote
from assay.importers.messages import Steps
from assay.importers.text_calls import calls_in
from assay.records import Ledger, ModelStep, Trajectory

_KEYS = keys(
    "task_id sample_idx seqlen prompt_len head_version tail_version version_rle reward"
    " original_reward prompt completion segments"
)
_EVALUATION = "eval-rollout"


@final
class Areal(Importer):
    """One dump, the folder of one version, or the folder of all."""

    name = "areal"
    title = "AReaL rollout dump"
    record = "an object with task_id, prompt, completion and reward"
    needs = "task_id sample_idx:int seqlen:int prompt:text completion:text reward"

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        record.lose_unknown(_KEYS)
        number, prompt = record.name("task_id"), record.need("prompt", str)
        sample, folder = record.whole("sample_idx"), record.file.absolute().parent
        if folder.parent.name == _EVALUATION:
            record.lose("of_evaluation:eval")
        # only newer dumps divide where the first turn begins
        task = prompt_name(prompt if "version_rle" in record.raw else asked(prompt))
        # ranks count their tasks each for themselves, so two prompts may have one id
        group = record.groups.name(f"{folder.name}/{number}{record.run(2)}", task)
        steps = Steps()
        generated = _segments(record, steps)
        if generated is None:
            told(steps, prompt)
            wrote(steps, record.need("completion", str), record)
        record.lose("no_tokens")
        original = record.score("original_reward")
        yield record.trajectory(
            task,
            steps,
            trial=sample,
            id=f"{group}/{sample}",
            group=group,
            outcome=record.scored(record.score("reward")),
            rewards={} if original is None else {"original_reward": original},
            policy_version=_version(record),
            ledger=Ledger(tokens=generated),
        )


def _version(record: Record) -> str:
    """Returns the versions that sampled it, "3" or "2-3"."""
    head, tail = record.whole("head_version"), record.whole("tail_version")
    if head is None or tail is None:
        return record.file.parent.name
    return str(tail) if head == tail else f"{head}-{tail}"


def _segments(record: Record, steps: Steps) -> int | None:
    """Adds the steps of a sample's segments; returns how many tokens were generated. None: there
    are no segments."""
    if not record.items("segments"):
        return None
    count = 0
    for segment in record.each("segments", "a segment object"):
        text, role = segment.text("text"), segment.need("role", str)
        if role == "gen":
            count += segment.whole("len") or 0
            said = "".join(part.text for part in parts_of(text))
            steps.act(ModelStep(text=said, calls=calls_in(said, segment)))
        elif role == "prompt":
            told(steps, text)
        elif role == "context":
            for part in parts_of(text):
                if part.role not in ("assistant", "model"):
                    observed(steps, part.text, segment)
        else:
            raise segment.wrong("role", repr(role[:40]), "gen, prompt or context")
    return count
