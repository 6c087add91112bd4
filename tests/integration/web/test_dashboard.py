"""The page at `/`, in a real browser: it shows what goes on, what failed and why, and what needs somebody."""

import re

from playwright.sync_api import Page, Route, expect

from tests.asking import PROJECT, Asking, ask, log_calls
from tests.brokers import embedded_only
from tests.service import Service

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
    expect(page).to_have_title("callscore")
    expect(page.locator("#projects tr").filter(has_text="not_empty")).to_contain_text("100 % passed")
    expect(page.locator("#attention")).to_be_empty()


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
    expect(page.locator("#note")).to_have_text("No requests yet. Make one with: callscore submit")


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


def test_a_record_that_could_not_be_processed_is_shown_until_somebody_has_seen_to_it(
    page: Page, service: Service
) -> None:
    [call_id] = log_calls(service, 1)
    service.log_calls(PROJECT, [{"id": call_id, "output": "another output"}])
    page.goto(service.url)
    expect(page.locator("#attention tr").filter(has_text="call_rewritten")).to_contain_text(re.compile(call_id))
    assert service.post("/dead-letters/dismiss", {}).json["dismissed"] == 1
    expect(page.locator("#attention")).to_be_empty()
