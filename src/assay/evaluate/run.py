"""Measures runs: base, trained policies and a frozen copy, all through the same pipeline.

The frozen copy is the base once more with other chance. Whatever it "gains" is what the pipeline
gives to a policy that learnt nothing.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, final

import numpy as np
from jaxtyping import Float64, Int64
from msgspec import structs

from assay.errors import DataError, UsageError
from assay.evaluate.books import books
from assay.evaluate.confidence import summary, votes
from assay.evaluate.curves import check_samples, curve, powers
from assay.evaluate.diversity import answer_entropy, distinct
from assay.evaluate.intervals import paired_difference
from assay.evaluate.null import expansion
from assay.evaluate.recalibration import Platt
from assay.files.atomic import publish
from assay.kernels.constancy import bar
from assay.records import ModelStep, Trajectory
from assay.report.evaluation import page, policies, reliable
from assay.report.figure import COLOURS, Line, curves
from assay.rollout.backends.base import Backend
from assay.rollout.chain import collect, tasks
from assay.rollout.progress import Progress
from assay.rollout.protocols.base import Protocol
from assay.runs.config import Config
from assay.runs.folder import Folder
from assay.runs.sections import Env
from assay.world.catalogue import load as load_environment
from assay.world.line import parse

SCHEMA: Final = "assay.eval/1"
BASE, NULL, TRAINED = 0, 1, 2
"""Names of the sources of chance: base and frozen copy differ in nothing else."""
ROWS: Final = 256
"""Attempts sampled at a time; more are slower where memory is the limit."""
MOST: Final = len(COLOURS) - 2
"""Runs measured together: what one figure can tell apart, beside base and frozen copy."""


@final
@dataclass(slots=True)
class Sampled:
    """What the attempts of one policy came to; G prompts, of each the attempts in order."""

    total_G: Int64[np.ndarray, " G"]
    passed_G: Int64[np.ndarray, " G"]
    answers: list[list[str]]
    stated: list[list[float | None]]
    """Confidence; None: none was stated."""
    right: list[list[bool]]
    tokens: int

    @staticmethod
    def of(records: Iterable[Trajectory], prompts: int, pass_at: float) -> "Sampled":
        """Counts records; they come prompt by prompt.

        Raises:
            DataError: an attempt that nobody scored, so that samples would be missing.
        """
        total, passed = np.zeros(prompts, np.int64), np.zeros(prompts, np.int64)
        answers: list[list[str]] = [[] for _ in range(prompts)]
        stated: list[list[float | None]] = [[] for _ in range(prompts)]
        right: list[list[bool]] = [[] for _ in range(prompts)]
        place: dict[str, int] = {}
        tokens = 0
        for record in records:
            at = place.setdefault(record.group, len(place))
            if record.outcome is None:
                raise DataError(f"attempt {record.id}: nobody scored it; expected a score of each")
            right[at].append(record.outcome >= bar(pass_at))
            total[at] += 1
            passed[at] += right[at][-1]
            tokens += record.ledger.tokens or 0
            last = next((s for s in reversed(record.steps) if type(s) is ModelStep), ModelStep())
            turn = parse(last.text)
            answers[at].append(turn.answer if turn.kind == "answer" else "")
            stated[at].append(last.confidence)
        return Sampled(total, passed, answers, stated, right, tokens)

    @property
    def rate_SG(self) -> Float64[np.ndarray, "S G"]:
        """Success rate per prompt, one seed."""
        return (self.passed_G / self.total_G)[None, :]

    def calibration(self, rng: np.random.Generator, worth: Platt | None) -> dict[str, Any] | None:
        """Returns how honest stated confidence is, see `assay.evaluate.confidence`; None: none."""
        told = [
            (at, sure, ok)
            for at, pair in enumerate(zip(self.stated, self.right, strict=True))
            for sure, ok in zip(*pair, strict=True)
            if sure is not None
        ]
        stated_U = np.array([sure for _, sure, _ in told], float)
        right_U = np.array([ok for *_, ok in told], bool)
        task_U = np.array([at for at, *_ in told], np.int64)
        stated_U = stated_U if worth is None else worth.on(stated_U)
        return summary(stated_U, right_U, task_U, self.rate_SG[0], rng)


def evaluate_runs(
    runs: Sequence[Path],
    *,
    samples: int | None = None,
    prompts: int | None = None,
    step: int | None = None,
    seed: int = 0,
    small: bool = False,
    out: Path | None = None,
    worth: Platt | None = None,
    recalibrate: bool = False,
) -> tuple[dict[str, Any], Path]:
    """Returns the result, schema "assay.eval/1", and the folder it was written to.

    Args:
        runs: run directories; all of the same base and tasks.
        samples: attempts at each task. None: as the first run's recipe says.
        prompts: held-out tasks. None: likewise.
        step: checkpoint. None: the last one of each.
        seed: of sampling and of the intervals.
        small: accept n < 2k.
        out: None: `eval` in the first run.
        worth: what stated confidences are worth, from elsewhere. None: as they are stated.
        recalibrate: also writes what they are worth, fitted here, for each run that states any:
            `recalibration.json`, of several runs `recalibration-RUN.json`.

    Raises:
        DataError: a run has no whole checkpoint.
        UsageError: runs that cannot be compared, more than `MOST`, or too few samples.
    """
    if not 1 <= len(runs) <= MOST:
        raise UsageError(f"eval: {len(runs)} runs; expected 1 to {MOST}; measure them in parts")
    folders = [Folder.open(path) for path in runs]
    configs = [folder.config for folder in folders]
    config = configs[0]
    for path, other in zip(runs, configs, strict=True):
        if (other.env, other.model.name) != (config.env, config.model.name):
            raise UsageError(
                f"{path}: other tasks or another base than {runs[0]}; measure it alone"
            )
    samples = config.eval.samples if samples is None else samples
    prompts = config.eval.prompts if prompts is None else prompts
    structs.replace(config, eval=structs.replace(config.eval, prompts=prompts))  # held out, all
    ks = powers(samples, small=small)
    if not ks:
        raise UsageError(f"eval: {samples} samples of {prompts} prompts; expected at least 2 of 1")
    check_samples(np.full(prompts, samples), ks, small=small)
    found = [checkpoint_of(folder, step) for folder in folders]
    arms = dict(zip(_names(runs), zip(found, configs, strict=True), strict=True))
    with Progress((2 + len(runs)) * samples * prompts, "attempts") as progress:
        play = partial(_sampled, config, prompts, samples, seed, progress)
        base, null = play(None, config, BASE), play(None, config, NULL)
        trained = {
            name: play(path, of, TRAINED + at) for at, (name, (path, of)) in enumerate(arms.items())
        }
    result = _result(config, ks, base, null, trained, seed=seed, small=small, worth=worth)
    result["steps"] = {
        name: int(path.name.removeprefix("step_")) for name, (path, _) in arms.items()
    }
    every = {"base": (None, config), **arms}
    of = dict(zip(arms, folders, strict=True))
    rng = np.random.default_rng([seed, 2])
    result["books"] = books(config, every, of, prompts=prompts, rng=rng)
    folder = out or runs[0] / "eval"
    _write(result, folder)
    if recalibrate:
        _save_worth(result["arms"], folder)
    return result, folder


def held_out(
    config: Config,
    backend: Backend,
    *,
    prompts: int,
    samples: int,
    seed: tuple[int, int],
    watch: Callable[[Trajectory], None] | None = None,
    env: Env | None = None,
    protocol: Protocol | None = None,
) -> Iterator[Trajectory]:
    """Yields attempts at the held-out tasks of a configuration, task by task.

    Args:
        config: says which tasks, and how trajectories are sampled.
        backend: what plays.
        prompts: how many tasks.
        samples: attempts at each.
        seed: of chance; equal ones play equally.
        watch: sees every attempt as it ends.
        env: environment to measure on. None: the one that was trained on.
        protocol: how policy and world talk. None: in lines.
    """
    env = env or config.env
    many = max(ROWS // samples, 1)  # tasks of which all attempts are one batch
    first = config.eval.first_task
    for at in range(0, prompts, many):
        attempts = tasks(
            lambda: load_environment(env.name, **env.dials),
            range(first + at, first + min(at + many, prompts)),
            samples,
        )
        yield from collect(
            backend,
            attempts,
            sampling=config.train.sampling,
            seed=(*seed, at),
            watch=watch,
            clock=None,
            protocol=protocol,
        )


def _sampled(
    config: Config,
    prompts: int,
    samples: int,
    seed: int,
    progress: Progress,
    checkpoint: Path | None,
    of: Config,
    chance: int,
) -> Sampled:
    """Returns what a policy comes to on the held-out tasks: the base of a run, or a checkpoint."""
    from assay.rollout.backends.local import Transformers
    from assay.runs.sampling import of_config
    from assay.runs.start import opened

    model, tokenizer = opened(of, checkpoint)
    environment = load_environment(config.env.name, **config.env.dials)
    records = held_out(
        config,
        Transformers(model, tokenizer),
        prompts=prompts,
        samples=samples,
        seed=(seed, chance),
        watch=progress.attempt,
        protocol=of_config(config, tokenizer, environment, model),
    )
    return Sampled.of(records, prompts, float(config.recipe.get("pass_at", 1.0)))


def _result(
    config: Config,
    ks: Sequence[int],
    base: Sampled,
    null: Sampled,
    arms: dict[str, Sampled],
    *,
    seed: int,
    small: bool,
    worth: Platt | None,
) -> dict[str, Any]:
    rng = np.random.default_rng([seed, 1])
    total = int(base.total_G[0])

    def about(of: Sampled, versus_G: Int64[np.ndarray, " G"] | None) -> dict[str, Any]:
        new = expansion(of.passed_G, base.passed_G, versus_G, total=total)
        gap = paired_difference(base.rate_SG, of.rate_SG, rng=rng, over="prompts")
        return {
            **_about(of, ks, rng, small=small, worth=worth),
            "difference": asdict(gap),
            "newly_solved": {
                "unreached_by_base": new.unreached,
                "once": _known(new.once),
                "twice": _known(new.twice),
                "solved": new.solved,
            },
        }

    told = {name: about(of, null.passed_G) for name, of in arms.items()}
    return {
        "schema": SCHEMA,
        "k": list(ks),
        "base": _about(base, ks, rng, small=small, worth=worth),
        "trained": next(iter(told.values())),
        "null": about(null, None),
        "arms": told,
        "prompts": int(base.total_G.size),
        "samples": total,
        "env": config.env.name,
        "model": config.model.name,
        "first_task": config.eval.first_task,
        "temperature": config.train.temperature,
        "seed": seed,
        "config_sha256": config.sha256,
    }


def _about(
    of: Sampled,
    ks: Sequence[int],
    rng: np.random.Generator,
    *,
    small: bool,
    worth: Platt | None = None,
) -> dict[str, Any]:
    made = curve(of.total_G, of.passed_G, ks, rng=rng, small=small)
    return {
        "pass_at_k": list(made.pass_at_k),
        "ci": [None if pair is None else list(pair) for pair in made.ci],
        "pass_hat_k": list(made.pass_hat_k),
        "passed": of.passed_G.tolist(),
        "all_fail": int((of.passed_G == 0).sum()),
        "distinct_answers": float(np.mean([distinct(said) for said in of.answers])),
        "answer_entropy": float(np.mean([answer_entropy(said) for said in of.answers])),
        "tokens": of.tokens,
        "calibration": of.calibration(rng, worth),
        "votes": votes(of.answers, of.stated, of.right),
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def checkpoint_of(folder: Folder, step: int | None) -> Path:
    """Returns the checkpoint of a step of a run, whole; None: the last one.

    Raises:
        DataError: there is none.
    """
    from assay.runs.checkpoint import committed, intact

    whole = committed(folder.checkpoints)
    if not whole or (step is not None and step not in whole):
        raise DataError(
            f"{folder.path}: no checkpoint{'' if step is None else f' of step {step}'}; there are "
            f"{', '.join(map(str, whole)) or 'none'}"
        )
    return intact(folder.checkpoints / f"step_{whole[-1] if step is None else step}")


def _names(runs: Sequence[Path]) -> list[str]:
    names = [path.resolve().name for path in runs]
    if len(set(names)) != len(names) or set(names) & {"base", "null"}:
        names = [str(path) for path in runs]
    if len(set(names)) != len(names):
        raise UsageError("eval: a run is given twice")
    return names


def _write(result: dict[str, Any], folder: Path) -> None:
    publish(folder / "eval.json", json.dumps(result, indent=1, allow_nan=False).encode() + b"\n")
    shown = drawn(result)
    publish(folder / "pass_at_k.svg", shown)
    publish(folder / "pass_at_k.png", drawn(result, "png"))
    diagram = reliable(result)
    if diagram is not None:
        publish(folder / "reliability.svg", diagram)
    publish(folder / "report.html", page(result, shown, diagram).encode())


def _save_worth(arms: Mapping[str, Any], folder: Path) -> None:
    for name, arm in arms.items():
        if arm["calibration"] is not None:
            more = f"-{Path(name).name}" if len(arms) > 1 else ""
            Platt(**arm["calibration"]["platt"]).save(folder / f"recalibration{more}.json")


def drawn(result: dict[str, Any], kind: Literal["svg", "png"] = "svg") -> bytes:
    """Returns the curves of a result as a picture: base, arms and frozen copy on one axis."""
    lines = [
        Line(
            name,
            [float(k) for k in result["k"]],
            arm["pass_at_k"],
            # nothing to see where there is no interval
            [tuple(ci or (at, at)) for at, ci in zip(arm["pass_at_k"], arm["ci"], strict=True)],
        )
        for name, arm in policies(result).items()
    ]
    return curves(
        lines,
        title=f"pass@k on {result['prompts']} held-out tasks of {result['env']}",
        x_label=f"k, of {result['samples']} samples",
        y_label="pass@k",
        x_scale="log2",
        y_range=(0.0, 1.0),
        kind=kind,
    )
