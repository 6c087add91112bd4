"""The description of every view."""

from importlib.metadata import version
from typing import Any

from app.web import (
    breakers,
    calls,
    controls,
    costs,
    dead_letters,
    gaps,
    history,
    projects,
    requests,
    rules,
    scorers,
    scores,
    summary,
    trying,
)
from app.web.openapi import contract, past, weave
from app.web.openapi.models import parameter, schemas_of
from app.web.openapi.operations import content, operation, page, with_path_parameters
from app.web.openapi.schemas import ANY_OBJECT, SCHEMAS, enum

_BODIES = (
    controls.RequestRetry,
    dead_letters.LetterOrder,
    rules.RulePublication,
    scorers.ScorerPublication,
    trying.ScorerTrial,
)

_SUBMITTING = (
    "Once answered, the whole request is durable, and is processed in the background. The answer is "
    "`{}` with the header `Location: /score-requests/{request_id}`, which shows its progress; with "
    "`Prefer: return=representation` its body is the receipt instead, `{request_id, status_url, tasks}`. "
    "The body must be sent with `Content-Type: application/json`. Existing scores are reused, unless "
    "`Callscore-Rescore` has a token with which the call was not scored yet. The same `Idempotency-Key` with the same "
    "body gives the same receipt, however late; with another body it is refused."
)
_LATER = {
    "202": {
        "description": "The order is durable and takes effect once all workers are back; the Request before it",
        "content": content("Request"),
    }
}

PATHS: dict[str, Any] = with_path_parameters(
    {
        # The operation itself is the contract's, word for word.
        "/calls/score": {
            "description": _SUBMITTING,
            "parameters": [
                parameter("Prefer", enum("return=representation"), "header"),
                parameter("Idempotency-Key", where="header"),
                parameter("Callscore-Rescore", where="header"),
            ],
            **contract.CALLS_SCORE,
        },
        "/projects": {"get": operation("Calls", "Projects with calls", "ProjectPage", query=projects.ProjectsQuery)},
        "/calls": {"get": operation("Calls", "Logged calls that have ended", "CallPage", query=calls.CallsQuery)},
        "/score-requests": {
            "get": operation("Requests", "Requests, newest first", "RequestPage", query=requests.RequestsQuery)
        },
        "/score-requests/{request_id}": {"get": operation("Requests", "One request", "Request")},
        "/score-requests/{request_id}/tasks": {
            "get": operation("Requests", "Tasks of a request", "TaskPage", query=requests.TasksQuery)
        },
        "/score-requests/{request_id}/events": {
            "get": page(
                "text/event-stream",
                summary="Live progress: server-sent events, each a Request; the last one ends it",
                tag="Requests",
                parameters=[parameter("Last-Event-ID", where="header")],
                open=False,
                also={"204": {"description": "Last-Event-ID was the last event"}},
            )
        },
        "/score-requests/{request_id}/cancel": {
            "post": operation(
                "Requests", "Cancel the tasks that have not ended; 409 once all have", "Request", also=_LATER
            )
        },
        "/score-requests/{request_id}/retry": {
            "post": operation(
                "Requests",
                "Retry failed or cancelled tasks",
                "Request",
                body="RequestRetry",
                body_required=False,
                also=_LATER,
            )
        },
        "/scores": {"get": operation("Scores", "One score per call and scorer", "ScorePage", query=scores.ScoresQuery)},
        "/scores/gaps": {
            "get": operation(
                "Scores",
                "Calls without a succeeded score of a scorer, and why; scorer_ref may end in :latest",
                "GapPage",
                query=gaps.GapsQuery,
            )
        },
        "/scores/gaps/summary": {
            "get": operation(
                "Scores",
                "How many calls have a score of a scorer, and how many have none, by reason",
                "GapSummary",
                query=gaps.CountQuery,
            )
        },
        "/scores/history": {
            "get": operation(
                "Scores",
                "Every wait, attempt and outcome of one call and scorer, in the order of the log",
                "HistoryPage",
                query=history.HistoryQuery,
            )
        },
        "/scores/summary": {
            "get": operation(
                "Scores",
                "Distributions per scorer: group_by is op_name, attributes.<path> or inputs.<path>",
                "Summary",
                query=summary.SummaryQuery,
            )
        },
        "/scorers": {
            "get": operation("Scorers", "Scorers that can be applied", "ScorerPage", query=scorers.ScorersQuery),
            "post": operation("Scorers", "Publish a scorer", "Scorer", body="ScorerPublication", status=201),
        },
        "/scorers/costs": {
            "get": operation(
                "Scorers",
                "What each scorer of a project cost per day, for the days that began in a time range",
                "Costs",
                query=costs.CostsQuery,
            )
        },
        "/scorers/kinds": {"get": operation("Scorers", "Kinds of scorers that can be published", "ScorerKindPage")},
        "/scorers/try": {
            "post": operation(
                "Scorers",
                "Run a scorer once on a logged call; nothing is stored; 409 once its spend cap is reached",
                "Trial",
                body="ScorerTrial",
            )
        },
        "/rules": {
            "get": operation(
                "Rules", "Rules by project and name, but removed ones", "RulePage", query=rules.RulesQuery
            ),
            "post": operation(
                "Rules",
                "Score calls as they are logged, from now on; 200 if it replaced a rule",
                "Rule",
                body="RulePublication",
                status=201,
                also={"200": {"description": "It replaced a rule", "content": content("Rule")}},
            ),
        },
        "/rules/{rule_id}": {"get": operation("Rules", "One rule, also if it was removed", "Rule")},
        "/rules/{rule_id}/calls": {
            "get": operation(
                "Rules",
                "The calls that a rule matched, those left out of its sample included",
                "DecisionPage",
                query=rules.DecisionsQuery,
            )
        },
        "/rules/{rule_id}/pause": {"post": operation("Rules", "Score no further calls until it is resumed", "Rule")},
        "/rules/{rule_id}/resume": {"post": operation("Rules", "Score calls again, from now on", "Rule")},
        "/rules/{rule_id}/remove": {
            "post": operation("Rules", "Score no further calls; what it decided is kept", "Rule")
        },
        "/dead-letters": {
            "get": operation(
                "Dead letters",
                "Records that could not be processed, newest first; without project_id for keys of every project",
                "LetterPage",
                query=dead_letters.LettersQuery,
            )
        },
        "/dead-letters/{letter_id}": {
            "get": operation("Dead letters", "One dead letter, with key and value of its record", "WholeLetter")
        },
        "/dead-letters/redrive": {
            "post": operation(
                "Dead letters",
                "Redrive at most 1,000 of the open letters that match; each only once",
                "Redriven",
                body="LetterOrder",
            )
        },
        "/dead-letters/dismiss": {
            "post": operation(
                "Dead letters",
                "Close at most 1,000 of the open letters that match, without redriving them",
                "Dismissed",
                body="LetterOrder",
            )
        },
        "/breakers": {
            "get": operation(
                "Scorers",
                "Which scorers are paused, and why; for keys of every project",
                "BreakerPage",
                query=breakers.BreakersQuery,
            )
        },
        "/breakers/{scorer}/close": {
            "post": operation(
                "Scorers",
                "Resume a paused scorer (its name or its ref) at once; for keys of every project",
                "BreakerPage",
            )
        },
        **weave.PATHS,
        "/": {"get": page("text/html", summary="Dashboard", open=False)},
        "/dashboard/{file}": {
            "get": page("text/javascript", "text/css", summary="Scripts and styles of the dashboard", open=False)
        },
        "/docs": {"get": page("text/html", summary="This description, for reading")},
        "/openapi.json": {"get": page("application/json", summary="This description", schema=ANY_OBJECT)},
        "/healthz": {"get": operation("Service", "Whether the process lives", "Health", error="Health", open=True)},
        "/readyz": {"get": operation("Service", "Whether the tables can answer", "Health", error="Health", open=True)},
        "/metrics": {"get": page("text/plain", summary="Metrics for Prometheus")},
    }
)

SPEC: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "callscore",
        "version": version("callscore"),
        "description": "Applies scorers to logged LLM calls. Times are RFC 3339 in UTC; a parameter may also be "
        "a date, for its midnight. While a worker does not answer, lists and counts lack its data, and have the header "
        "`Callscore-Unanswered-Partitions`.",
    },
    "paths": PATHS,
    "components": {
        "schemas": {**contract.SCHEMAS, **SCHEMAS, **past.SCHEMAS, **weave.SCHEMAS, **schemas_of(_BODIES)},
        "securitySchemes": contract.SECURITY_SCHEMES,
    },
}
