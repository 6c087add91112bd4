"""Rule 1 on a disk that fails: what was accepted is kept, and the worker goes on, or ends where it cannot know."""

import asyncio
import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.embedded.log import Log
from app.exits import EXIT_HOPELESS, EXIT_UNSYNCED
from tests import stored
from tests.brokers import embedded_only
from tests.crash.clients import Clients
from tests.faults.shim import READ_ONLY, Calls, Shim
from tests.service import Service

SCORERS = ("not_empty", "patient", "in_process")


@pytest.fixture
def service(make_service: Callable[..., Service], shim: Shim, tmp_path: Path) -> Service:
    made = make_service(data_dir=tmp_path / "watched", scorers="tests.plugin_scorers", partitions=2, call_wait=300)
    made.extra_environment = shim.environment
    return made


@embedded_only
@pytest.mark.parametrize(
    ("folder", "calls", "error"),
    [
        ("log", READ_ONLY, errno.EROFS),
        ("log", Calls.WRITE, errno.EIO),
        ("instance-0", Calls.WRITE, errno.EIO),
    ],
    ids=["log-read-only", "log-error", "table-error"],
)
def test_a_disk_that_cannot_be_written_refuses_and_loses_nothing_and_the_same_process_goes_on(
    service: Service, shim: Shim, folder: str, calls: Calls, error: int
) -> None:
    shim.fail_in(folder)
    pid = service.start().pid
    clients = Clients(service, service.refs(*SCORERS))
    for turn in range(2):
        with clients.running(str(turn)):
            clients.wait_for_more(clients.accepted, 5)
            shim.fail(calls, error, torn=True)
            service.wait_unready("cannot be written")
            refused = len(clients.refused)
            clients.wait_for_more(clients.refused, 20)
            clients.check_all_refused_say("cannot be written", since=refused)
            shim.heal()
            service.wait_ready()
            clients.wait_for_more(clients.accepted, 5)
        assert (service.pid, service.exit_code()) == (pid, None)
    clients.check_all_accepted_finish()
    assert service.stop() == 0
    rows = stored.tables(service)
    shutil.rmtree(service.data_dir / "instance-0")
    service.start()
    assert service.stop() == 0
    assert stored.tables(service) == rows


@embedded_only
def test_a_sync_that_fails_ends_the_worker_which_has_everything_when_it_is_started_again(
    service: Service, shim: Shim
) -> None:
    service.start()
    clients = Clients(service, service.refs(*SCORERS))
    with clients.running("before"):
        clients.wait_for_more(clients.accepted, 5)
        shim.fail(Calls.SYNC, errno.EIO)
        assert service.wait_ended() == EXIT_UNSYNCED
    assert "could not be synced" in service.log()
    shim.heal()
    service.start()
    clients.others.clear()  # connections that ended with the process
    clients.check_all_accepted_finish()


@embedded_only
def test_a_log_that_is_damaged_is_told_in_one_sentence_and_nothing_is_skipped(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(partitions=2).start()
    clients = Clients(service, service.refs("not_empty"))
    with clients.running("calls"):
        clients.wait_for_more(clients.accepted, 20)
    clients.check_all_accepted_finish()
    service.stop()
    shutil.rmtree(service.data_dir / "instance-0")  # so that all of the changelogs is read
    asyncio.run(Log(service.data_dir / "log").close())  # which writes it into RocksDB's table files
    largest = max((service.data_dir / "log").glob("*.sst"), key=lambda file: file.stat().st_size)
    content = bytearray(largest.read_bytes())
    for at in range(0, len(content), 4096):
        content[at] ^= 1
    largest.write_bytes(content)
    service.spawn()
    assert service.wait_ended() == EXIT_HOPELESS
    [sentence] = [line for line in service.log().splitlines() if line.startswith("Error: ")]
    assert f"The log at {service.data_dir / 'log'} is damaged" in sentence
    assert sentence.endswith("restore the directory from a backup.")
