"""What a judge reads of a record: its task, and all that was said and answered after it."""

from assay.judges.texts import answer_of, task_of
from assay.records import Call, ModelStep, ToolStep, Trajectory, UserStep


def record(*steps: object) -> Trajectory:
    return Trajectory("a", "t", "g", steps=steps, outcome=0.5, rewards={"own": 1.0})  # type: ignore[arg-type]


def test_the_task_is_what_stands_before_the_first_turn() -> None:
    first, more = UserStep(text="be brief"), UserStep(text="what is it")
    said = ModelStep(text="let me see")
    heard, asked = ToolStep(text="seven"), UserStep(text="sure?")
    whole = record(first, more, said, heard, asked, ModelStep(text="7"))
    assert task_of(whole) == "be brief\nwhat is it"
    assert answer_of(whole) == "AGENT: let me see\nWORLD: seven\nUSER: sure?\nAGENT: 7"
    assert (task_of(record(first)), answer_of(record(first))) == ("be brief", "")


def test_a_call_is_shown_once() -> None:
    def said(text: str) -> str:
        call = Call(name="look", arguments='{"at": 1}')
        return answer_of(record(ModelStep(text=text, calls=(call,))))

    shown = '\nCALL: look {"at": 1}'
    assert said("I look") == f"AGENT: I look{shown}"
    assert said('{"at": 1}') == f'AGENT: {{"at": 1}}{shown}'
    assert said('look {"at": 1}') == 'AGENT: look {"at": 1}'
