"""verl rollout dumps: `{step}.jsonl`, one line a row, v1 (`uid`) and legacy (`request_id`) keys.

The dump has decoded text only, without ids or mask, and special tokens are dropped, so turns are
gone too: they are cut out again where marks show them (`assay.importers.marks`). Rows whose uid
differs in its last part alone are outputs of one session, and count once. A dump has columns of the
reward function (`acc` of verl's own) only where that returned more than a number. Validations are
dumped in the same form to a folder of their own (`trainer.validation_data_dir`): its name tells.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import final

from assay.importers.base import Importer, Record, keys, prompt_name
from assay.importers.marks import turns
from assay.importers.messages import as_text
from assay.records import Trajectory, UserStep

_KEYS = keys("input output gts score step uid request_id reward_extra_info")
_VALIDATION = re.compile(
    r"((rollouts?|generations?|dumps?|log)[_-])?(val|valid|validation|eval|evaluation)"
    r"([_-](data|dir|dumps?|generations?|outputs?|results?|rollouts?|samples?|logs?))*",
    re.IGNORECASE,
)
"""What people call the folder of validations, or one above that has a folder for each run."""


@final
class Verl(Importer):
    """One dump, the folder of `trainer.rollout_data_dir`, or one that holds such folders."""

    name = "verl"
    title = "verl rollout dump"
    record = "an object with input, output and score"
    needs = "input:text output:text step:int score"
    names = r"[0-9]+\.jsonl"
    called = "{step}.jsonl"

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        prompt, step = record.need("input", str), record.whole("step")
        identity, group, trial = _identity(record, step, prompt)
        outcome, rewards = record.scored(record.score("score")), _rewards(record)
        if not rewards:
            record.lose("no_reward_extras")
        record.lose("no_tokens")
        if _is_validation(record.file.absolute().parent):
            record.lose("of_evaluation:validation")
        yield record.trajectory(
            prompt_name(prompt),
            (UserStep(text=prompt), *turns(record.need("output", str), record, 1)),
            trial=record.groups.trial(group) if trial is None else trial,
            id=identity,
            group=group,
            session=None if trial is None else f"{group}_{trial}",
            outcome=outcome,
            rewards=rewards,
            reference=as_text(record.raw.get("gts")),
            policy_version=None if step is None else str(step),
        )


def _is_validation(folder: Path) -> bool:
    """Does the name of a dump's folder say that it holds validations?"""
    named = folder if re.search("train|rollout", folder.name, re.IGNORECASE) else folder.parent
    return any(_VALIDATION.fullmatch(each.name) for each in (folder, named))


def _identity(record: Record, step: int | None, prompt: str) -> tuple[str, str, int | None]:
    """Returns id, group and trial: of the three-part uid (v1), else of step and prompt (legacy)."""
    uid = record.text("uid")
    parts = uid.rsplit("_", 2)
    if len(parts) == 3 and all(part.isascii() and part.isdigit() for part in parts[1:]):
        if len(parts[1]) > 15 or len(parts[2]) > 15:
            raise record.wrong("uid", repr(uid[:60]), "uid_session_index")
        return uid, parts[0], int(parts[1])
    if uid:
        record.lose("uid_of_unknown_form")
        return uid, uid, None
    record.lose("group_is_prompt")
    run, at = record.run(1), record.origin()
    request = record.maybe_name("request_id") or f"{at.path}/{at.index}"
    return f"{request}{run}", f"step{step}-{prompt_name(prompt)}{run}", None


def _rewards(record: Record) -> dict[str, float | None]:
    """Returns the numbers that the reward function added; other columns are counted as lost."""
    extra = record.within("reward_extra_info").raw
    others = {key: value for key, value in record.raw.items() if key not in _KEYS}
    rewards: dict[str, float | None] = {}
    for key, value in (*others.items(), *extra.items()):
        if isinstance(value, (bool, int, float)):
            rewards[key] = record.as_score(value, key)
        elif value is not None:
            record.lose(f"column:{key}"[:80])
    return dict(sorted(rewards.items()))
