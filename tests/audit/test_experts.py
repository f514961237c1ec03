"""Expert actions belong to the task, whichever of its trajectories names them."""

from assay.batch import Batch
from assay.records import Call, ExpertCall, ModelStep, Trajectory

CALLS = (Call(name="f", arguments="{}"), Call(name="g", arguments="{}"))
STEPS = (ModelStep(text="x", calls=CALLS),)


def test_experts_are_known_to_the_whole_task_from_any_of_its_trajectories():
    expert = (ExpertCall(name="g", arguments="{ }"),)
    first = Trajectory(id="a", task="t", group="t", steps=STEPS)
    second = Trajectory(id="b", task="t", group="t", steps=STEPS, expert=expert)
    elsewhere = Trajectory(id="c", task="another", group="t", steps=STEPS)
    batch = Batch.of([first, second, elsewhere])
    assert batch.expert_C.tolist() == [0, 1, 0, 1, -1, -1]
