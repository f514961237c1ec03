"""The truth about credit: the future of a decision, played on from before and from after it.

Start with `run.Replay`. `plan` chooses decisions, `play` continues them, `advantage` takes the
difference with its interval, `judge` holds credit against it by the numbers of `truth`, `words`
says what came out.
"""
