"""The methods, by name. Adding one is one file in this folder and one line here."""

import dataclasses
from typing import Any

import msgspec

from assay.batch import Batch
from assay.credit.base import Method
from assay.credit.baselines import AsymRe, Ebpo, Opo, Quantile
from assay.credit.beliefs import DeltaBelief, Igpo
from assay.credit.branches import Carl, TreePo, TreeRl
from assay.credit.calibrated import Dcpo, Rlcr
from assay.credit.deltas import Gae, ScoreDelta
from assay.credit.entropy import RlZvp
from assay.credit.g2po import G2po
from assay.credit.gated import Agreement, Rlsd, Routing
from assay.credit.gigpo import GiGpo
from assay.credit.hcapo import Hcapo
from assay.credit.hgpo import Hgpo
from assay.credit.honest_claims import HonestClaims
from assay.credit.likelihood import Lens, Unlikeliness
from assay.credit.low_logprob import LowLogprob
from assay.credit.mixed_judges import MixedJudges
from assay.credit.mt_grpo import MtGrpo
from assay.credit.next_state import NextState
from assay.credit.outcome import DrGrpo, Gpg, Grpo, GrpoNegative, GrpoPositive, MaxRl, Rloo
from assay.credit.passk import GrpoPassk, PassAtK
from assay.credit.presets import preset
from assay.credit.reasonflux import ReasonFlux
from assay.credit.signed import Nsr, Psr, Reinforce, WReinforce
from assay.credit.srl import Srl
from assay.credit.stratified import Stratified
from assay.credit.teaching import Additive, Opd
from assay.credit.toolpo import ToolPo
from assay.credit.trees import MsGrpo, TreeGrpo
from assay.credit.ttrl import Ttrl
from assay.credit.virtual import Avspo, Ngrpo
from assay.credit.whitened import Gdpo, ReinforcePlusPlus, ReinforcePlusPlusBaseline
from assay.errors import UnknownNameError, UsageError, hint
from assay.kernels.advantages import Advantages
from assay.registry import Registry

METHODS: Registry[Method] = Registry(
    "method",
    {
        # outcome within the group
        "grpo": Grpo,  # Shao et al. 2024, arXiv:2402.03300
        "dr_grpo": DrGrpo,  # Liu et al. 2025, arXiv:2503.20783
        "rloo": Rloo,  # Ahmadian et al. 2024, arXiv:2402.14740
        "max_rl": MaxRl,  # Tajwar et al. 2026, arXiv:2602.02710
        "gpg": Gpg,  # Chu et al. 2025, arXiv:2504.02546
        "reinforce_plus_plus": ReinforcePlusPlus,  # Hu et al. 2025, arXiv:2501.03262
        "reinforce_plus_plus_baseline": ReinforcePlusPlusBaseline,  # Hu et al. 2025
        "gdpo": Gdpo,  # Liu et al. 2026, arXiv:2601.05242
        "grpo_passk": GrpoPassk,  # Tang et al. 2025, arXiv:2503.19595
        "pass_at_k": PassAtK,  # Pass@k training 2025, arXiv:2508.10751
        "quantile": Quantile,  # QAE 2025, arXiv:2509.22611
        "unlikeliness": Unlikeliness,  # He et al. 2025, arXiv:2506.02355
        "opo": Opo,  # Hao et al. 2025, arXiv:2505.23585
        "asym_re": AsymRe,  # AsymRE 2025, arXiv:2506.20520
        "honest_claims": HonestClaims,  # after Agents of Chaos 2026, arXiv:2602.20021
        "rlcr": Rlcr,  # Damani et al. 2025, arXiv:2507.16806
        "dcpo": Dcpo,  # DCPO 2026, arXiv:2603.09117
        "ttrl": Ttrl,  # TTRL 2025, arXiv:2504.16084
        "mixed_judges": MixedJudges,  # Cai et al. 2025, arXiv:2510.00915
        # passes and fails apart
        "reinforce": Reinforce,  # Williams 1992
        "psr": Psr,  # Zhu et al. 2025, arXiv:2506.01347
        "nsr": Nsr,  # Zhu et al. 2025, arXiv:2506.01347
        "w_reinforce": WReinforce,  # Zhu et al. 2025, arXiv:2506.01347
        "grpo_positive": GrpoPositive,  # half of Shao et al. 2024
        "grpo_negative": GrpoNegative,  # half of Shao et al. 2024
        # a bounded signal where all fail
        "ngrpo": Ngrpo,  # NGRPO 2025, arXiv:2509.18851
        "avspo": Avspo,  # AVSPO 2026, arXiv:2605.21125
        "ebpo": Ebpo,  # EBPO 2026, arXiv:2602.05165
        "rl_zvp": RlZvp,  # RL-ZVP 2025, arXiv:2509.21880
        "lens": Lens,  # LENS 2025, arXiv:2510.08696
        # finer than a trajectory
        "toolpo": ToolPo,  # DeepAgent 2025, arXiv:2510.21618
        "gigpo": GiGpo,  # Feng et al. 2025, arXiv:2505.10978
        "hgpo": Hgpo,  # HGPO 2026, arXiv:2602.22817
        "mt_grpo": MtGrpo,  # Zeng et al. 2025, arXiv:2505.11821
        "tree_grpo": TreeGrpo,  # Tree-GRPO 2025, arXiv:2509.21240
        "carl": Carl,  # CARL 2025, arXiv:2512.04949
        "tree_rl": TreeRl,  # Hou et al. 2025, arXiv:2506.11902
        "tree_po": TreePo,  # Li et al. 2025, arXiv:2508.17445
        "g2po": G2po,  # G2PO 2026, arXiv:2606.22995
        "stratified": Stratified,  # Zhu et al. 2025, arXiv:2510.06214
        "score_delta": ScoreDelta,  # prime-rl#3282; Schulman et al. 2015, arXiv:1506.02438
        "gae": Gae,  # Schulman et al. 2015, arXiv:1506.02438
        "reasonflux": ReasonFlux,  # ReasonFlux-PRM 2025, arXiv:2506.18896
        "next_state": NextState,  # OpenClaw-RL 2026, arXiv:2603.10165
        "srl": Srl,  # Deng et al. 2025, arXiv:2510.25992
        "ms_grpo": MsGrpo,  # Dilkes et al. 2025, arXiv:2508.10839
        "delta_belief": DeltaBelief,  # Auzina et al. 2026, arXiv:2602.12342
        "igpo": Igpo,  # IGPO 2025, arXiv:2510.14967
        "hcapo": Hcapo,  # HCAPO 2026, arXiv:2603.08754
        # a teacher that was told a hint
        "opd": Opd,  # OpenClaw-RL 2026, arXiv:2603.10165
        "additive": Additive,  # OpenClaw-RL 2026, arXiv:2603.10165
        "rlsd": Rlsd,  # RLSD 2026, arXiv:2604.03128
        "agreement": Agreement,  # after SERL 2026, arXiv:2605.19447
        "routing": Routing,  # I-SDPO 2026, arXiv:2608.12957
        "low_logprob": LowLogprob,  # control of 2026, arXiv:2608.31046
    },
    group="assay.methods",
)


def method(name: str, *, like: str | None = None, **options: Any) -> Method:
    """Returns a method by name, its options checked and converted.

    >>> method("grpo", like="trl").eps
    0.0001

    Args:
        name: one of `METHODS.names()`.
        like: an engine whose numbers to reproduce; see docs/conventions.md. Options that are
            given win over it.
        options: fields of the method, as values or as text.

    Raises:
        UnknownNameError: no such method, option or engine; names the nearest.
        UsageError: an option of the wrong type or out of its range.
    """
    cls = METHODS.get(name)
    known = [f.name for f in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else []
    for option in options:
        if option not in known:
            raise UnknownNameError(
                f"{name} has no option {option!r}.{hint(option, known)} "
                f"Known: {', '.join(known) or 'none'}"
            )
    if like is not None:
        options = {**preset(name, like), **options}
    try:
        return msgspec.convert(options, cls, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"{name}: {error}") from None


def credit(batch: Batch, by: Method) -> Advantages:
    """Returns the advantages of `by` on `batch`: the credit stage, pure."""
    return by(batch)


__all__ = ["METHODS", "Advantages", "Method", "credit", "method"]
