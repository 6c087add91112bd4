"""No two workers in a group have the same URL or identity."""

from app.kafka.members import LOOKS, Identity, Member, Watch

URL = "http://127.0.0.1:6066"
A, B = Identity.of("callscore", URL, "instance-0-a"), Identity.of("callscore", URL, "instance-0-b")
ELSEWHERE = Identity.of("callscore", "http://127.0.0.1:60660", "instance-0-c")


def member(identity: Identity, life: int = 1) -> Member:
    return Member(f"{identity.instance}-{life}", "10.0.0.1")


def found(watch: Watch, looks: int, group: list[Member], own: Member) -> str | None:
    answers = [watch.look(group, own.id) for _ in range(looks)]
    assert not any(answers[:-1])
    return answers[-1]


def test_of_two_workers_with_one_url_one_ends_and_says_which_setting_to_change() -> None:
    group = [member(A), member(B), member(ELSEWHERE)]
    assert found(Watch(A), 3 * LOOKS, group, member(A)) is None
    assert found(Watch(ELSEWHERE), 3 * LOOKS, group, member(ELSEWHERE)) is None
    why = found(Watch(B), LOOKS, group, member(B))
    assert why is not None
    assert "CALLSCORE_ADVERTISED_URL" in why
    assert "10.0.0.1" in why


def test_a_worker_of_an_earlier_version_counts_as_one_with_the_same_url() -> None:
    old = Member("http-127.0.0.1-6066-instance-0-0f0f", "10.0.0.1")
    assert A.namesakes([old, member(A), member(ELSEWHERE)]) == [old]


def test_a_dead_worker_that_is_still_a_member_ends_nobody() -> None:
    watch = Watch(B)
    assert found(watch, LOOKS - 1, [member(A), member(B)], member(B)) is None
    assert found(watch, 3 * LOOKS, [member(B)], member(B)) is None


def test_a_worker_that_another_one_replaces_again_and_again_ends_and_says_why() -> None:
    watch = Watch(A)
    assert found(watch, 1, [], member(A, 0)) is None
    answers = []
    for life in range(1, LOOKS + 1):  # either it has joined again, or it does not know yet that it was replaced
        own = member(A, life - life % 2)
        answers.append(watch.look([member(A, life)], own.id))
    assert not any(answers[:-1])
    assert answers[-1] is not None
    assert "is a copy" in answers[-1]


def test_a_worker_that_joins_again_once_goes_on() -> None:
    watch = Watch(A)
    assert found(watch, LOOKS, [member(A)], member(A)) is None
    assert found(watch, 3 * LOOKS, [member(A, 2)], member(A, 2)) is None
