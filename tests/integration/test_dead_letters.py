"""Rule 10: a record that cannot be applied is kept with its reason, harms nobody, and the stream goes on."""

from collections.abc import Callable
from typing import Any

from app.events import decode_letter
from tests import stored
from tests.brokers import on_both_logs
from tests.service import PARTITIONS, Service

pytestmark = on_both_logs

PROJECT = "acme/letters"


def letters(service: Service) -> list[Any]:
    """The dead letters in the stopped service's log."""
    records = stored.log(service).records("dead-letters")
    return [decode_letter(record.value or b"") for record in records]


def test_a_rewritten_call_keeps_its_first_content_and_the_rewrite_becomes_a_dead_letter(service: Service) -> None:
    service.log_calls(PROJECT, [{"id": "one", "output": "first"}])
    service.log_calls(PROJECT, [{"id": "one", "output": "second"}])
    service.log_calls(PROJECT, [{"id": "one", "output": "first"}])
    [call] = service.items(f"/calls?project_id={PROJECT}")
    assert call["output"] == "first"
    assert service.wait_finished(service.submit(PROJECT, ["one"], service.refs("not_empty")))["status"] == "completed"
    service.stop()
    assert [letter.reason for letter in letters(service)] == ["call_rewritten"]


def test_a_poisoned_record_in_any_topic_is_buried_and_the_stream_goes_on(
    make_service: Callable[..., Service],
) -> None:
    service = make_service().start()
    service.log_calls(PROJECT, [{"id": "one", "output": "x"}])
    service.stop()
    poisons = [b"", b"\xff\xfe", b"{", b'{"type": "Unheard"}', b'{"v": 99, "type": "CallLogged"}', b"null"]

    streams = {*stored.PRIMARY} - {"dead-letters"}
    for topic in streams:
        places = range(PARTITIONS)
        records = [stored.Record(partition, 0, b"poison", value) for partition in places for value in poisons]
        stored.log(service).append(topic, records)
    service.start()
    ids_ = [f"call-{n}" for n in range(50)]
    service.log_calls(PROJECT, [{"id": call_id, "output": "x"} for call_id in ids_])
    request = service.wait_finished(service.submit(PROJECT, ["one", *ids_], service.refs("not_empty", "valid_json")))
    assert request["tasks"]["succeeded"] == 102
    service.stop()
    found = letters(service)
    assert len(found) == len(streams) * PARTITIONS * len(poisons)
    assert {letter.reason for letter in found} == {"undecodable", "unknown_version"}
    assert {letter.value for letter in found} == set(poisons)
