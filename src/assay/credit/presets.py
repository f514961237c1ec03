"""What each engine computes, as options of ours: `method("grpo", like="trl")`."""

from typing import Any, Final

from assay.errors import UnknownNameError, hint

PRESETS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "grpo": {
        "trl": {"scale": "std", "ddof": 1, "eps": 1e-4, "singleton": "zero"},
        "verl": {"scale": "std", "ddof": 1, "eps": 1e-6, "singleton": "raw"},
        "rllm": {"scale": "std", "ddof": 0, "eps": 1e-6, "singleton": "raw"},
        "prime-rl": {"scale": "none", "singleton": "zero"},
        "nanochat": {"scale": "none", "singleton": "zero"},
    },
    "dr_grpo": {
        "trl": {"singleton": "zero"},  # scale_rewards="none"
        "verl": {"singleton": "raw"},  # norm_adv_by_std_in_grpo=False
    },
    "rloo": {
        "trl": {"singleton": "zero"},
        "verl": {"singleton": "raw"},
        "rllm": {"singleton": "raw"},
    },
    "opo": {
        "verl": {"singleton": "raw"},
    },
    "gpg": {
        "verl": {"variant": "verl", "singleton": "raw"},
    },
    "reinforce_plus_plus": {
        "verl": {"eps": 1e-8},
    },
    "reinforce_plus_plus_baseline": {
        "verl": {"singleton": "raw", "eps": 1e-8},
    },
    "gdpo": {
        "verl": {"over": "tokens", "scale": "std", "ddof": 1, "eps": 1e-6, "singleton": "raw"},
    },
    "grpo_passk": {
        "verl": {"scale": "std", "ddof": 1, "eps": 1e-6},
    },
    "max_rl": {
        "prime-rl": {"eps": 0.0},
    },
}
"""Options by method and engine: what each engine computes on the versions that the tests name."""


def preset(method: str, like: str) -> dict[str, Any]:
    """Returns the options under which `method` gives the numbers of the engine `like`.

    Raises:
        UnknownNameError: the method or the engine has no preset; names those that have.
    """
    engines = PRESETS.get(method)
    if engines is None:
        raise UnknownNameError(f"{method} has no presets; methods that have: {', '.join(PRESETS)}")
    if like not in engines:
        raise UnknownNameError(
            f"{method} has no preset {like!r}.{hint(like, engines)} Known: {', '.join(engines)}"
        )
    return dict(engines[like])
