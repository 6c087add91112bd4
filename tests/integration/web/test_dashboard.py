"""The page at `/`, in a real browser: it shows what goes on, what failed and why, and what needs somebody."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page, Route, expect

from app.keys import add_key
from app.rules import is_sampled
from tests import judging as judges
from tests.asking import PROJECT, Asking, ask, log_calls, wait_for
from tests.brokers import embedded_only
from tests.judging import Judging
from tests.service import Service, complete_call

pytestmark = embedded_only

HOSTILE = "<img src=x onerror=\"document.title='taken'\">"


def answer_500(route: Route) -> None:
    route.fulfill(status=500, body="{}")


def test_a_request_is_shown_with_its_results_and_why_tasks_failed(page: Page, asking: Asking) -> None:
    service = asking.start()
    service.log_calls(PROJECT, [{"id": "well", "output": "fine"}, {"id": HOSTILE, "output": "bad"}])
    request = service.submit(PROJECT, ["well", HOSTILE], service.refs("not_empty", "returns_nan"))
    service.wait_finished(request)
    page.goto(service.url)
    head = page.locator("#requests summary")
    expect(head).to_contain_text("completed")
    expect(head).to_contain_text("4 tasks · 2 failed")
    head.click()
    rows = page.locator("#requests h3:text-is('Failed') + table tr")
    expect(rows).to_have_count(3)
    # What was logged is shown as the text that it is.
    expect(rows.filter(has_text=HOSTILE)).to_contain_text("invalid_output:")
    rows.filter(has_text=HOSTILE).get_by_role("link").click()
    call = page.get_by_role("dialog")
    expect(call.locator("h3:text-is('Output') + pre")).to_have_text("bad")
    expect(call.locator("details[open]")).to_contain_text("The output is not JSON")  # why it failed
    expect(call.locator("details[open] h3:text-is('History') + table")).to_contain_text("failed")
    page.keyboard.press("Escape")
    expect(call).to_be_hidden()
    expect(page).to_have_title("callscore")
    expect(page.locator("#projects tr").filter(has_text="not_empty")).to_contain_text("100 % passed")
    expect(page.locator("#attention")).to_be_empty()
    # As in a request of 200,000 tasks, whose failed ones take long to find.
    page.route("**/tasks?status=failed*", lambda route: route.fulfill(json={"items": [], "next_cursor": "x"}))
    page.reload()
    head.click()
    expect(page.locator("#requests .inside")).to_contain_text("None of the 2 is among the first tasks.")
    expect(rows).to_have_count(0)


def test_long_names_and_many_scorers_leave_the_page_readable(page: Page, service: Service) -> None:
    project, names = f"{'e' * 60}/{'p' * 60}", [f"check_{n}" for n in range(1, 12)]
    publish = {"kind": "length", "project_id": project, "params": {"max": 1}}
    refs = [service.post("/scorers", publish | {"name": name}).json["ref"] for name in names]
    service.log_calls(project, ["one"])
    service.wait_finished(service.submit(project, ["one"], refs))
    page.set_viewport_size({"width": 375, "height": 800})
    page.goto(service.url)
    head = page.locator("#requests summary")
    expect(head).to_contain_text(f"11 tasks · {', '.join(names[:8])} and 3 more")
    expect(page.locator("#projects .opener")).to_have_text(names)
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    expect(head.get_by_text("completed")).to_have_css("white-space", "nowrap")


def test_what_runs_is_followed_and_can_be_cancelled_and_tried_again(page: Page, asking: Asking) -> None:
    service = asking.start()
    asking.provider.mood = "hanging"
    page.clock.install()
    page.goto(service.url)
    expect(page.locator("#note")).to_contain_text("No requests yet")
    ask(service, 3)
    head = page.locator("#requests summary")
    expect(head).to_contain_text("running")  # without the page being loaded again
    head.click()
    cancel = page.get_by_role("button", name="Cancel")
    page.route("**/cancel", answer_500)
    cancel.click()
    expect(page.locator("#note")).to_have_text("That was not done: the service answers 500.")
    expect(cancel).to_be_enabled()
    page.unroute("**/cancel")
    cancel.click()
    expect(head).to_contain_text("cancelled")
    page.reload()
    expect(page.locator("#projects")).to_contain_text("No scores yet")
    head.click()
    asking.provider.mood = "well"
    page.get_by_role("button", name="Try 3 again").click()
    expect(head).to_contain_text("completed")
    expect(page.locator("#requests .inside")).to_contain_text("3 succeeded")
    page.clock.fast_forward(10_000)  # after which it is summed up again: as many tasks have ended, but otherwise
    expect(page.locator("#projects tr").filter(has_text="asks")).to_contain_text("3")


def test_what_cannot_be_shown_is_said_until_it_can(page: Page, service: Service) -> None:
    service.wait_finished(service.submit(PROJECT, log_calls(service, 1), service.refs("not_empty")))
    page.route("**/scores/summary*", answer_500)
    page.goto(service.url)
    note = page.locator("#note")
    expect(note).to_have_text("Not up to date: the service answers 500.")
    for _ in range(2):  # when the second one has come, the first one is shown
        with page.expect_response("**/score-requests?*"):
            pass
    assert note.inner_text() == "Not up to date: the service answers 500."
    page.unroute("**/scores/summary*")
    why = {"detail": [{"loc": [], "msg": "The tables are being recovered.", "type": "not_ready"}]}
    page.route("**/scores/summary*", lambda route: route.fulfill(status=503, json=why))
    expect(note).to_have_text("Not up to date: the service answers 503: The tables are being recovered.")
    page.unroute("**/scores/summary*")
    page.route("**/scores/summary*", lambda route: route.abort())
    expect(note).to_have_text("Not up to date: the service does not answer.")
    page.unroute("**/scores/summary*")
    expect(page.locator("#projects tr").filter(has_text="not_empty")).to_contain_text("100 % passed")
    expect(note).to_be_empty()


def test_a_part_is_not_shown_as_the_whole_while_a_worker_does_not_answer(page: Page, service: Service) -> None:
    def leave_out(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, headers={**answer.headers, "Callscore-Unanswered-Partitions": "1"})

    page.route("**/score-requests?*", leave_out)
    page.goto(service.url)
    expect(page.locator("#note")).to_have_text("Not up to date: a worker does not answer.")
    page.unroute("**/score-requests?*")
    expect(page.locator("#note")).to_contain_text("No requests yet.")


def test_a_paused_scorer_is_shown_and_let_go_on(page: Page, asking: Asking) -> None:
    service = asking.start(scorer_attempts=1)
    asking.provider.mood = "locked"
    ask(service, 5)
    page.goto(service.url)
    paused = page.locator("#attention tr").filter(has_text="asks")
    expect(paused).to_contain_text("ClientResponseError: 401")
    asking.provider.mood = "well"
    paused.get_by_role("button").click()
    expect(page.locator("#attention")).to_be_empty()
    expect(page.locator("#requests summary")).to_contain_text("completed")
    breaker = {"scorer_ref": "callscore:///scorer/asks:0", "scorer_name": "asks", "state": "open", "reason": "401"}
    idle = {"items": [breaker | {"next_probe_at": "2026-01-01T00:00:00Z"}], "next_cursor": None}
    page.route("**/breakers*", lambda route: route.fulfill(json=idle))
    expect(paused).to_contain_text("tries its next task")  # as no time that is over will come


def test_a_record_that_could_not_be_processed_is_shown_until_somebody_has_seen_to_it(
    page: Page, service: Service
) -> None:
    [call_id] = log_calls(service, 1)
    service.log_calls(PROJECT, [call_id], "another output")
    page.goto(service.url)
    expect(page.locator("#attention tr").filter(has_text="call_rewritten")).to_contain_text(re.compile(call_id))
    expect(page.locator("#projects")).to_contain_text("No scores yet.")  # calls that nobody has scored can be read
    page.locator("#projects").get_by_role("link", name=call_id).click()
    expect(page.get_by_role("dialog").locator("h3:text-is('Output') + pre")).to_have_text("an output")
    page.keyboard.press("Escape")
    assert service.post("/dead-letters/dismiss", {}).json["dismissed"] == 1
    expect(page.locator("#attention")).to_be_empty()


def test_a_scorer_is_opened_by_keyboard_to_its_distribution_and_its_scores(page: Page, service: Service) -> None:
    outputs = ["", HOSTILE, *("fine" for _ in range(18))]
    service.log_calls(PROJECT, [{"id": f"call-{n:02}", "output": output} for n, output in enumerate(outputs)])
    service.wait_finished(service.submit(PROJECT, [f"call-{n:02}" for n in range(20)], service.refs("not_empty")))
    page.goto(service.url)
    opener = page.get_by_role("button", name="not_empty")
    opener.press("Enter")
    opened = page.locator("#projects td.opened:visible")
    expect(opened.get_by_role("img")).to_have_attribute("aria-label", "19 passed (95 %), 1 not passed")
    scores = opened.locator("tbody tr")
    expect(scores).to_have_count(10)
    opened.get_by_role("button", name="Show more").press("Enter")
    expect(scores).to_have_count(20)
    opened.get_by_label("Which scores").select_option("Not passed")
    expect(scores).to_have_count(1)
    expect(scores).to_contain_text("call-00not passed")
    opened.get_by_label("Which scores").select_option("Failed")
    expect(opened).to_contain_text("None.")
    with page.expect_response("**/score-requests?*"):  # what is open stays open
        pass
    expect(opener).to_have_attribute("aria-expanded", "true")


def test_scorers_are_compared_by_what_the_calls_have(page: Page, asking: Asking) -> None:
    service = asking.start()
    outputs = {"m-1": ["", "fine"], "m-2": ["fine"], HOSTILE: ["fine"]}
    calls = [
        {"id": f"{model} {n}", "output": output, "attributes": {"run": {"model": model}, "env": "test"}}
        for model, given in outputs.items()
        for n, output in enumerate(given)
    ]
    service.log_calls(PROJECT, calls)
    refs = service.refs("not_empty", "returns_nan")
    service.wait_finished(service.submit(PROJECT, [str(call["id"]) for call in calls], refs))
    page.goto(service.url)
    by = page.get_by_label("Compare by")
    expect(by.locator("option")).to_have_text(["…", "op_name", "attributes.env", "attributes.run.model"])
    by.select_option("attributes.run.model")
    rows = page.locator("#projects label + div tbody tr")
    passed = ["not_empty", f"{HOSTILE}100 % passed1", "m-150 % passed2", "m-2100 % passed1"]
    expect(rows).to_have_text([*passed, "returns_nan", f"{HOSTILE}–01", "m-1–02", "m-2–01"])
    by.select_option("…")
    expect(rows).to_have_count(0)


def test_a_call_has_an_address_and_what_was_logged_in_it_stays_text(page: Page, service: Service) -> None:
    name = "a/b & c=d"
    call = {"id": name, "output": HOSTILE, "inputs": {HOSTILE: "long " * 2000}, "attributes": {"model": HOSTILE}}
    unknown = "1970-01-01T00:00:00Z"  # as an import without times has it
    service.log_calls(PROJECT, [call | {"started_at": unknown}])
    service.wait_finished(service.submit(PROJECT, [name], service.refs("not_empty")))
    page.goto(service.url)
    page.get_by_role("button", name="not_empty").click()
    page.get_by_role("link", name=name).click()
    panel = page.get_by_role("dialog")
    expect(panel).to_contain_text(f"Call {name}")
    address = page.url
    page.go_back()
    expect(panel).to_be_hidden()
    page.goto("about:blank")
    page.goto(address)  # as somebody does to whom it was sent
    expect(panel.locator("h3:text-is('Output') + pre")).to_have_text(HOSTILE)
    expect(panel.locator("h3:text-is('Attributes') + table")).to_contain_text(HOSTILE)
    expect(panel.locator("details[open]")).to_contain_text("Lineage")
    panel.get_by_role("button", name="Show all 10,000 characters").click()
    assert len(panel.locator("h3:text-is('Inputs') + table pre").inner_text()) == 10_000
    expect(panel.locator("#call-facts > table").first).to_contain_text("ended")
    expect(panel.locator("#call-facts > table").first).not_to_contain_text("started")
    assert page.locator("img").count() == 0
    expect(page).to_have_title(f"Call {name} · callscore")
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()
    expect(page).to_have_title("callscore")
    expect(page).to_have_url(f"{service.url}/")
    page.goto(f"{service.url}/{PROJECT}/r/call/{quote(name, safe='')}")  # as Weave's SDK prints it
    expect(panel).to_contain_text(f"Call {name}")


def test_numbers_labels_and_failures_are_shown_as_they_are_distributed(page: Page, judging: Judging) -> None:
    service = judging.start()
    refs = [judges.publish(service), judges.publish(service, "manner", judges.LABEL), *service.refs("returns_nan")]
    judges.judged(service, ["an output"] * 3, *refs)
    page.goto(service.url)
    for name in ("polite", "manner", "returns_nan"):
        page.get_by_role("button", name=name).click()
    opened = page.locator("#projects td.opened")
    expect(opened.nth(1)).to_contain_text(re.compile("mean .* min .* max .* 3 values"))
    expect(opened.nth(1).get_by_role("img", name="Histogram of score")).to_be_visible()
    expect(opened.nth(1)).to_contain_text("cost of 30 days")
    expect(opened.nth(0)).to_contain_text("label3 values")
    expect(opened.nth(2)).to_contain_text("3 without a value")


def test_a_scorer_at_its_spend_cap_is_shown_with_until_when(page: Page, judging: Judging) -> None:
    service = judging.start()
    ref = judges.publish(service, policy={"usd_per_day": 1e-9})
    request = service.submit(judges.PROJECT, judges.log_outputs(service, ["an output"] * 3), [ref])
    wait_for(service, request, "paused")
    page.goto(service.url)
    paused = page.locator("#attention tr").filter(has_text="polite")
    expect(paused).to_contain_text(f"of {judges.PROJECT}")
    expect(paused).to_contain_text("the 1e-09 USD that this scorer may cost a day")
    expect(paused).to_contain_text("until ")


def test_a_rule_is_shown_with_its_requests_and_the_calls_that_it_left_out(page: Page, service: Service) -> None:
    where, ids = {"attributes.env": [HOSTILE, "prod"]}, [HOSTILE, *(f"ruled-{n}" for n in range(5))]
    body = {"project_id": PROJECT, "name": "prod", "scorer_refs": service.refs("not_empty"), "where": where}
    rule = service.post("/rules", body | {"sample_rate": 0.5}).json["rule_id"]
    left_out = {call_id for call_id in ids if not is_sampled(rule, call_id, 0.5)}
    page.goto(service.url)
    head = page.locator("#projects h3:text-is('Rules') + details > summary")
    expect(head).to_contain_text("0 calls matched")
    service.log_calls(PROJECT, [{"id": call_id, "output": "x", "attributes": {"env": "prod"}} for call_id in ids])
    expect(head).to_contain_text(f"50 % sampled · 6 calls matched · {len(left_out)} left out · last matched")
    expect(head).to_contain_text(f'attributes.env = {json.dumps(HOSTILE)} or "prod"')
    head.click()
    opened = page.locator("#projects h3:text-is('Rules') + details > .inside")
    rows = opened.locator("h3:text-is('Left out') + table tr")
    expect(rows).to_have_count(1 + len(left_out))
    request = opened.locator("details").first
    expect(request).to_contain_text(f"{6 - len(left_out)} tasks")
    request.click()
    expect(request.locator("tr").filter(has_text="rule")).to_contain_text("prod")
    rows.filter(has_text=HOSTILE).get_by_role("link").click()
    expect(page.get_by_role("dialog")).to_contain_text(f"Call {HOSTILE}")
    expect(page).to_have_title(f"Call {HOSTILE} · callscore")


def test_the_page_takes_a_key_and_shows_what_that_may_see(
    page: Page, make_service: Callable[..., Service], tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    key, of_project = add_key(path, "ann", ["*"]), add_key(path, "bob", [PROJECT])
    service = make_service(api_keys=path).start()
    assert service.get("/dashboard/dashboard.js").status == 401
    assert service.get("/dashboard/none.js", Authorization=f"Bearer {key}").status == 404

    def sign_in(key: str) -> Page:
        assert page.context.browser is not None
        signed_in = page.context.browser.new_context(http_credentials={"username": "api", "password": key}).new_page()
        signed_in.goto(service.url)
        return signed_in

    expect(sign_in(key).locator("#note")).to_contain_text("No requests yet")
    for output in ("x", "y"):  # the second is kept as a dead letter
        batch = [complete_call(PROJECT, {"id": "one", "output": output})]
        bearer = {"Authorization": f"Bearer {of_project}"}
        assert service.post(f"/v2/{PROJECT}/calls/complete", {"batch": batch}, **bearer).status == 200
    service.submit(PROJECT, ["one"], ["callscore:///scorer/not_empty:latest"], **bearer)
    for each in (key, of_project):
        expect(sign_in(each).locator("#attention tr").filter(has_text="call_rewritten")).to_have_count(1)
