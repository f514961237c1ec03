"""Names of groups, and of tasks that a log does not name."""

import hashlib
from dataclasses import dataclass, field


@dataclass(slots=True)
class Groups:
    """Names groups and numbers their members in the order in which they come."""

    seen: dict[str, int] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)

    def name(self, group: str, variant: str) -> str:
        """Returns `group` for the first variant (agent, model) seen in it, else one of its own."""
        return group if self.owner.setdefault(group, variant) == variant else f"{group}@{variant}"

    def trial(self, group: str) -> int:
        """Returns 0 for the first member of `group`, then 1, 2 ..."""
        self.seen[group] = self.seen.get(group, -1) + 1
        return self.seen[group]


def prompt_name(prompt: str) -> str:
    """Returns the name of a task that is known by its prompt alone."""
    digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
    return f"prompt-{digest[:12]}"
