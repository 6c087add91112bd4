"""What a user of Weave's own SDK does, in an environment of its own.

`weave_sdk.py URL log | read | trace | feedback PROJECT` prints what the SDK was told, as JSON.
"""

import asyncio
import json
import os
import sys
from typing import Any

import weave

SCORERS = ("not_empty", "refusal")


@weave.op
def shout(text: str) -> str:
    return text.upper()


@weave.op
def answer(question: str) -> str:
    return shout(f"{question}!")


@weave.op
def breaks(question: str) -> str:
    raise ValueError(question)


class LongEnough(weave.Scorer):
    """Runs in the user's process, not here."""

    words: int

    @weave.op
    def score(self, output: str) -> dict[str, bool]:
        return {"passed": len(output.split()) >= self.words}


def log(project: str) -> dict[str, Any]:
    """Log calls, publish a scorer, have the calls scored by the service, and say something of the first one."""
    client = weave.init(project)
    calls = [answer.call(f"question {n}")[1] for n in range(3)]
    failed = breaks.call("why", __should_raise=False)[1]
    scorer = LongEnough(words=2)
    ref = weave.publish(scorer)
    client.flush()
    refs = [f"callscore:///scorer/{name}:latest" for name in SCORERS]
    asked = {"project_id": f"{client.entity}/{client.project}", "call_ids": [call.id for call in calls]}
    submitted = client.server.calls_score({**asked, "scorer_refs": refs})
    refused = ""
    try:
        client.server.calls_score({**asked, "scorer_refs": [ref.uri()]})
    except Exception as error:
        refused = str(error)
    applied = asyncio.run(calls[0].apply_scorer(scorer))
    calls[0].feedback.add_reaction("👍")
    note = calls[0].feedback.add_note("to be taken back")
    client.flush()  # feedback is sent in batches, and a purge is not
    calls[0].feedback.purge(note)
    return {
        "project": asked["project_id"],
        "calls": asked["call_ids"],
        "failed": failed.id,
        "ref": ref.uri(),
        "op": calls[0].op_name,
        "submitted": submitted,
        "refused": refused,
        "applied": applied.result,
        "evaluated": evaluate(f"{project}-evaluated"),
    }


def evaluate(project: str) -> Any:
    """Evaluate an op on a dataset that has been published, and add a row to it."""
    client = weave.init(project)
    weave.publish(weave.Dataset(name="questions", rows=[{"question": "why"}, {"question": "how"}]))
    questions = weave.ref("questions").get()
    summary = asyncio.run(weave.Evaluation(dataset=questions, scorers=[LongEnough(words=1)]).evaluate(answer))
    questions.add_rows([{"question": "who"}])
    client.flush()
    return summary["LongEnough"]


def evaluated(project: str) -> dict[str, Any]:
    """What is there of it."""
    client = weave.init(project)
    scored = [call for call in client.get_calls() if "predict_and_score" in call.op_name]
    return {
        "examples": sorted(call.inputs["example"]["question"] for call in scored),
        "versions": [[row["question"] for row in weave.ref(f"questions:v{n}").get().rows] for n in range(2)],
    }


def read(project: str) -> dict[str, Any]:
    """All that was logged, as the SDK reads it."""
    client = weave.init(project)
    everything = list(client.get_calls(include_feedback=True))
    newest = {"sort_by": [{"field": "started_at", "direction": "desc"}]}
    question = {"$expr": {"$eq": [{"$getField": "inputs.question"}, {"$literal": "question 1"}]}}
    said = {
        call.id: sorted((one.feedback_type, json.dumps(one.payload)) for one in call.feedback) for call in everything
    }
    [first] = client.get_calls(query={"$expr": {"$eq": [{"$getField": "inputs.question"}, {"$literal": "question 0"}]}})
    [published] = [one.runnable_ref for one in first.feedback if one.feedback_type == "wandb.runnable.LongEnough"]
    return {
        "ids": [call.id for call in everything],
        "count": len(client.get_calls()),
        "roots": [call.id for call in client.get_calls(filter={"trace_roots_only": True})],
        "newest": next(iter(client.get_calls(**newest, limit=1))).id,
        "oldest": next(iter(client.get_calls(sort_by=[{"field": "started_at", "direction": "asc"}], limit=1))).id,
        "question": [call.output for call in client.get_calls(query=question)],
        "children": [child.output for child in first.children()],
        "scored_by_not_empty": len(client.get_calls(scored_by="not_empty")),
        "scored_by_long_enough": [call.id for call in client.get_calls(scored_by="LongEnough")],
        "said": said,
        "reactions": len(list(client.get_feedback(reaction="👍"))),
        "words": weave.ref(published).get().words,
        "source": "text.upper()" in weave.ref(shout_ref(everything)).get().get_captured_code(),
        "evaluated": evaluated(f"{project}-evaluated"),
    }


def trace(project: str) -> list[str]:
    """Log calls; their ids."""
    client = weave.init(project)
    for number in range(3):
        answer(f"question {number}")
    client.flush()
    return [call.id for call in client.get_calls()]


def feedback(project: str) -> dict[str, Any]:
    """The feedback on each call, and the scorer that the first one is by."""
    client = weave.init(project)
    calls = list(client.get_calls(include_feedback=True))
    [one] = calls[0].feedback
    return {
        "feedback": {call.id: [(each.feedback_type, each.payload) for each in call.feedback] for call in calls},
        "scored_by_name": [call.id for call in client.get_calls(scored_by="refusal")],
        "scored_by_ref": [call.id for call in client.get_calls(scored_by=one.runnable_ref)],
        "scorer": weave.ref(one.runnable_ref).get().ref_in_callscore,
    }


def shout_ref(calls: list[Any]) -> str:
    return next(call.op_name for call in calls if "/op/shout:" in call.op_name)


if __name__ == "__main__":
    url, what, project = sys.argv[1:]
    os.environ |= {
        "WF_TRACE_SERVER_URL": url,
        "WANDB_BASE_URL": url,
        "WANDB_API_KEY": "any-key",
        "WANDB_ERROR_REPORTING": "false",
        "WEAVE_USE_SERVER_CACHE": "false",
        "WEAVE_PRINT_CALL_LINK": "false",
    }
    print(json.dumps({"log": log, "read": read, "trace": trace, "feedback": feedback}[what](project)))
