"""Rule 1 on a disk that is full: what was accepted is kept, the rest is refused, and the same process goes on."""

from collections.abc import Callable

from tests.brokers import embedded_only
from tests.crash.clients import CLIENTS, Clients
from tests.disk import Disk
from tests.service import Service

SCORERS = ("not_empty", "patient", "flaky", "in_process")
FULL = "No space left on device"


@embedded_only
def test_a_disk_that_is_full_refuses_and_loses_nothing_and_the_same_process_goes_on_when_there_is_room(
    make_service: Callable[..., Service], make_disk: Callable[[int], Disk]
) -> None:
    disk = make_disk(160)
    service = make_service(data_dir=disk.path / "data", scorers="tests.plugin_scorers", partitions=2, call_wait=300)
    pid = service.start().pid
    clients = Clients(service, service.refs(*SCORERS))
    for turn in range(3):
        with clients.running(str(turn)):
            clients.wait_for_more(clients.accepted, 5)
            disk.fill()
            service.wait_unready(FULL)
            accepted, refused = len(clients.accepted), len(clients.refused)
            clients.wait_for_more(clients.refused, 20)
            assert len(clients.accepted) <= accepted + CLIENTS  # those that were being answered
            clients.check_all_refused_say(FULL, since=refused)
            disk.empty()
            service.wait_ready()
            clients.wait_for_more(clients.accepted, 5)
        assert (service.pid, service.exit_code()) == (pid, None)
    clients.check_all_accepted_finish()
    assert service.stop() == 0
