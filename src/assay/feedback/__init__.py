"""Hints: what somebody says, after a turn, that the policy should have known before it.

    env      what the world answered the turn             file     lines that somebody wrote
    judge    a language model that reads the next state   human    a person at the terminal
    user     the next message, where it says it plainly   facts    results of tools, by their form

A hint is never shown to the policy that is trained; a teacher is told it (`assay.rollout.teaching`)
and only from sources that were found worth listening to (`admission`).
"""

from assay.feedback.base import Source, Turn, failed, given, turns
from assay.feedback.env import Env
from assay.feedback.facts import Facts
from assay.feedback.file import File
from assay.feedback.human import Human
from assay.feedback.judge import FromJudge
from assay.feedback.user import FromUser

__all__ = [
    "Env",
    "Facts",
    "File",
    "FromJudge",
    "FromUser",
    "Human",
    "Source",
    "Turn",
    "failed",
    "given",
    "turns",
]
