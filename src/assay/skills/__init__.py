"""Skill memory: what successes show, what failures teach, and whether anybody is helped by it.

skill       one skill, and the steps that it rests on    bank      an immutable, bounded version
store       versions on disk, each whole                 building  from trajectories to drafts
templates   drafts from a record's own facts             asking    drafts that a model writes
retrieval   which skills a task gets                     block     how they stand in a prompt
credit      help by randomised exposure                  trial     admission by paired runs

SkillRL 2026, https://arxiv.org/abs/2602.08234, differs: its bank only grows, is keyed by id alone,
takes validation failures in, and nobody measures what one skill does.
"""
