"""Every route of the HTTP surface."""

from aiohttp import web

from app import peers
from app.web import (
    breakers,
    calls,
    controls,
    dead_letters,
    gaps,
    health,
    history,
    internal,
    live,
    metrics,
    pages,
    requests,
    rows,
    scorers,
    scores,
    spending,
    submit,
    summary,
    trying,
)
from app.web.openapi import document
from app.web.weave import calls as weave_calls
from app.web.weave import datasets, feedback, files, objects, queries, refs, start

ROUTES = (
    web.post("/calls/score", submit.score_calls),
    web.get("/calls", calls.list_calls),
    web.get("/score-requests", requests.list_requests),
    web.get("/score-requests/{request_id}", requests.get_request),
    web.get("/score-requests/{request_id}/tasks", requests.list_tasks),
    web.get("/score-requests/{request_id}/events", live.watch_request, allow_head=False),
    web.post("/score-requests/{request_id}/cancel", controls.cancel_request),
    web.post("/score-requests/{request_id}/retry", controls.retry_request),
    web.get("/scores", scores.list_scores),
    web.get("/scores/gaps", gaps.list_gaps),
    web.get("/scores/gaps/summary", gaps.count_gaps),
    web.get("/scores/history", history.list_history),
    web.get("/scores/summary", summary.summarize_scores),
    web.get("/scorers", scorers.list_scorers),
    web.post("/scorers", scorers.publish_scorer),
    web.get("/scorers/costs", spending.list_costs),
    web.get("/scorers/kinds", scorers.list_kinds),
    web.get("/dead-letters", dead_letters.list_letters),
    web.get("/dead-letters/{letter_id}", dead_letters.get_letter),
    web.post("/dead-letters/redrive", dead_letters.redrive_letters),
    web.post("/dead-letters/dismiss", dead_letters.dismiss_letters),
    web.post("/scorers/try", trying.try_scorer),
    web.get("/breakers", breakers.list_breakers),
    web.post("/breakers/{scorer}/close", breakers.close_breaker),
    # Weave's own
    web.post("/v2/{entity}/{project}/calls/complete", weave_calls.complete_calls),
    web.post("/v2/{entity}/{project}/call/start", weave_calls.start_call),
    web.post("/v2/{entity}/{project}/call/end", weave_calls.end_call),
    web.post("/call/upsert_batch", weave_calls.upsert_calls),
    web.post("/obj/create", objects.create_object),
    web.post("/obj/read", objects.read_object),
    web.get("/server_info", start.server_info),
    web.post("/graphql", start.graphql),
    web.post("/file/create", files.create_file),
    web.post("/file/content", files.read_file),
    web.post("/refs/read_batch", refs.read_refs),
    web.post("/table/create", datasets.create_table),
    web.post("/table/create_from_digests", datasets.create_table_of_digests),
    web.post("/table/update", datasets.update_table),
    web.post("/table/query", datasets.query_table),
    web.post("/table/query_stats", datasets.count_rows),
    web.post("/calls/stream_query", queries.stream_calls),
    web.post("/calls/query_stats", queries.count_calls),
    web.post("/call/read", queries.read_call),
    web.post("/feedback/create", feedback.create_feedback),
    web.post("/feedback/batch/create", feedback.create_feedback_batch),
    web.post("/feedback/query", feedback.query_feedback),
    web.post("/feedback/purge", feedback.purge_feedback),
    web.get("/{entity}/{project}/weave", pages.weave_project),
    web.get("/{entity}/{project}/r/call/{call_id}", pages.weave_call),
    # for people and machines that watch
    web.get("/", pages.dashboard),
    web.get("/dashboard/{file}", pages.dashboard_file),
    web.get("/docs", pages.docs),
    web.get("/openapi.json", document.openapi),
    web.get("/healthz", health.healthz),
    web.get("/readyz", health.readyz),
    web.get("/metrics", metrics.metrics),
)

# What workers, `callscore log` and `callscore replay` ask: no part of the described surface.
INTERNAL = (
    web.post(peers.PATH, internal.answer_query),
    web.post("/internal/backup", internal.back_up),
    web.get("/internal/rows", rows.describe),
    web.get("/internal/rows/{partition}", rows.stream),
)
