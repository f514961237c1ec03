"""The definition of a term, one token at a time, in plain Python: no code of the kernel."""

import math
from typing import Any

NAN = float("nan")


def token_advantages(terms: list[dict[str, Any]], lengths: list[int]) -> list[float]:
    """Sum of the terms per token; NaN where carried and nowhere scored, 0 where not carried."""
    run_of = [r for r, length in enumerate(lengths) for _ in range(length)]
    out = []
    for n, run in enumerate(run_of):
        parts, carried = [], False
        for term in terms:
            unit = term["unit_R"][run] if term.get("unit_R") is not None else term["unit_N"][n]
            if unit == -1:
                continue
            carried = True
            part = unit_advantage(term, unit)
            if term.get("weight_N") is not None and part != 0:
                part *= term["weight_N"][n]
            parts.append(part)
        known = [part for part in parts if not math.isnan(part)]
        out.append(sum(known) if known or not carried else NAN)
    return out


def unit_advantage(term: dict[str, Any], u: int) -> float:
    """a_u, from the docstring of `Term` and nothing else."""
    value = term["value_U"][u]
    if math.isnan(value):
        return NAN
    baseline, scale = term.get("baseline", "none"), term.get("scale", "none")
    peer = term["peer_U"][u] if term.get("peer_U") is not None else 0
    alone_by_choice = baseline in ("none", "given") and scale == "none"
    if peer == -1 and not alone_by_choice:
        centred = 0.0
    else:
        centred = compared(term, u, value, peer, baseline, scale)
    if term.get("sign", "both") == "positive":
        centred = max(centred, 0.0)
    if term.get("sign", "both") == "negative":
        centred = min(centred, 0.0)
    cap = term.get("cap", math.inf)
    centred = max(-cap, min(cap, centred))
    weights = term.get("weight_U")
    return centred * term.get("weight", 1.0) * (1.0 if weights is None else weights[u])


def compared(term: dict[str, Any], u: int, value: float, peer: int, baseline: str, scale: str):
    """The value less its baseline, scaled."""
    peers = term.get("peer_U") or [0] * len(term["value_U"])
    pairs = list(zip(term["value_U"], peers, strict=True))
    if term.get("mass_U") is not None:  # as many members as it has mass, each of its value
        pairs = [pair for pair, m in zip(pairs, term["mass_U"], strict=True) for _ in range(int(m))]
    members = [v for v, p in pairs if p == peer and not math.isnan(v)]
    virtual = term.get("virtual_value_V") or []
    members += [
        v for v, p in zip(virtual, term.get("virtual_peer_V") or [], strict=True) if p == peer
    ]
    everyone = [v for v, p in pairs if p >= 0 and not math.isnan(v)] + list(virtual)
    spread = term.get("value_range")
    if spread is None:
        spread = max(everyone, default=0.0) - min(everyone, default=0.0)
    large = max((abs(m) for m in members), default=0.0)
    constant = not members or max(members) - min(members) <= max(1e-6 * spread, 1e-12 * large)
    compares = baseline in ("mean", "loo", "quantile", "virtual")
    eps = term.get("eps", 1e-6)
    voters = members if term.get("mass_U") is None else alone(term, peers, peer)
    if compares and len(voters) == 1 and term.get("singleton", "zero") == "raw":
        return value / {"std": 1 + eps, "root": math.sqrt(1 + eps)}.get(scale, 1.0)
    if compares and constant:
        return 0.0
    mean = sum(members) / len(members) if members else 0.0
    centred = value - base(term, u, value, members, mean, baseline)
    if constant or scale == "none":
        return centred
    if scale == "mean":
        return centred / (mean + eps)
    freedom = max(len(members) - term.get("ddof", 1), 1)
    variance = sum((m - mean) ** 2 for m in members) / freedom
    return centred / (math.sqrt(variance + eps) if scale == "root" else math.sqrt(variance) + eps)


def alone(term: dict[str, Any], peers: list[int], peer: int) -> list[int]:
    """The units of these peers that count at all, by their mass."""
    return [
        u
        for u, (v, p, m) in enumerate(zip(term["value_U"], peers, term["mass_U"], strict=True))
        if p == peer and m and not math.isnan(v)
    ]


def base(term: dict[str, Any], u: int, value: float, members: list[float], mean: float, which: str):
    """What is taken off the value of unit u."""
    if which in ("mean", "virtual"):
        return mean
    if which == "loo":
        return (sum(members) - value) / (len(members) - 1)
    if which == "quantile":
        level = term.get("quantile", 0.5)
        for x in sorted(members):
            if sum(m <= x for m in members) / len(members) >= level - 1e-9:
                return x
    if which == "shrunk":
        shrink = at(term.get("shrink", 0.0), u)
        return (1 - shrink) * mean + shrink * term.get("prior", 0.0)
    if which == "given":
        return at(term.get("given_U", 0.0), u)
    return 0.0


def at(values: Any, u: int) -> float:
    return values[u] if isinstance(values, list) else values
