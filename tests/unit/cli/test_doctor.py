"""`callscore doctor` finds what keeps a service from starting or working well, and changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app import open_files, topics
from app.client.http import Service
from app.embedded import keys
from app.embedded.log import Log
from app.embedded.store import open_database
from app.instance import claim_instance
from app.settings import get_settings
from app.upkeep.doctor import checks, data_dir
from app.upkeep.doctor.finding import Level
from tests.disk import Disk, make_disk

from .command import Command, Ended
from .fake_service import FakeService

__all__ = ["make_disk"]


@pytest.fixture
def doctor(command: Command, nobody: str, tmp_path: Path) -> Command:
    """The command, for a service that is yet to be started."""
    port = nobody.rpartition(":")[2]
    command.env |= {"CALLSCORE_WEB_PORT": port, "CALLSCORE_URL": nobody, "CALLSCORE_DATA_DIR": str(tmp_path / "data")}
    return command


def found(ended: Ended, level: str) -> list[str]:
    """What was found of one level, without that word, but for how slow the disk of this machine is now."""
    lines = [line for line in ended.out.splitlines() if line.startswith(level) and "A sync of" not in line]
    return [line.removeprefix(level).strip() for line in lines]


async def all_ok(doctor: Command) -> str:
    """What is said where there is nothing to say."""
    ended = await doctor("doctor")
    assert (ended.code, found(ended, "wrong"), found(ended, "warning")) == (0, [], []), ended.out + ended.err
    return ended.out


async def only_wrong(doctor: Command) -> str:
    """The one thing that is wrong."""
    ended = await doctor("doctor")
    assert ended.code == 1, ended.out + ended.err
    [sentence] = found(ended, "wrong")
    return sentence


async def only_warning(doctor: Command) -> str:
    """The one thing that there is a warning of, where nothing is wrong."""
    ended = await doctor("doctor")
    assert (ended.code, found(ended, "wrong")) == (0, []), ended.out + ended.err
    [sentence] = found(ended, "warning")
    return sentence


def contents(folder: Path) -> dict[Path, bytes | None]:
    """All that is in a folder; folders in it have none."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


async def logged(folder: Path, partitions: int) -> None:
    """A log with the topics of callscore."""
    log = Log(folder / "log")
    for topic in topics.ALL:
        log.create_topic(topic.name, partitions)
    await log.close()


async def test_a_healthy_place_is_all_ok_and_left_as_it_was(doctor: Command, tmp_path: Path) -> None:
    assert "does not exist yet; the first start creates it" in await all_ok(doctor)
    assert not (tmp_path / "data").exists()
    (tmp_path / "data").mkdir()
    await logged(tmp_path / "data", topics.partitions())
    there = contents(tmp_path / "data")
    assert "has 8 partitions and is not in use." in await all_ok(doctor)
    assert contents(tmp_path / "data") == there


async def test_a_variable_that_is_no_setting_is_a_warning_and_a_value_that_cannot_be_used_is_wrong(
    doctor: Command,
) -> None:
    doctor.env["CALLSCORE_SCORRERS"] = "mine"
    assert "CALLSCORE_SCORRERS is not a setting and is ignored. Did you mean CALLSCORE_SCORERS?" in (
        await only_warning(doctor)
    )
    doctor.env["CALLSCORE_PARTITIONS"] = "many"
    assert (await only_wrong(doctor)).startswith("settings: CALLSCORE_PARTITIONS='many': ")


@pytest.mark.parametrize("folder", ["a file", "below /proc"])
async def test_a_data_folder_that_cannot_be_written_or_made_is_wrong(
    doctor: Command, tmp_path: Path, folder: str
) -> None:
    (tmp_path / "file").touch()
    doctor.env["CALLSCORE_DATA_DIR"] = str(tmp_path / "file") if folder == "a file" else "/proc/callscore"
    assert (await only_wrong(doctor)).startswith("data folder: ")


def test_a_disk_without_room_is_wrong_and_one_with_little_is_a_warning(make_disk: Callable[[int], Disk]) -> None:
    disk = make_disk(64)
    assert next(data_dir.disk("disk", disk.path)).level is Level.WARNING
    disk.fill(leave=1024**2)
    assert next(data_dir.disk("disk", disk.path)).level is Level.WRONG


def test_a_slow_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_dir, "_SLOW_SECONDS", 0.0)
    [warned] = [one for one in data_dir.disk("disk", tmp_path) if one.level is Level.WARNING]
    assert "A sync of" in warned.sentence
    assert list(tmp_path.iterdir()) == []


async def test_a_log_that_another_process_has_is_wrong(doctor: Command, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    log = Log(tmp_path / "data" / "log")
    await log.flush()
    assert "is open in another process" in await only_wrong(doctor)
    await log.close()


async def test_a_log_of_another_number_of_partitions_is_wrong(doctor: Command, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    await logged(tmp_path / "data", 4)
    assert "has 4 partitions and 8 were asked for" in await only_wrong(doctor)


async def test_a_log_of_another_format_is_wrong(doctor: Command, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    await logged(tmp_path / "data", 8)
    database = open_database(tmp_path / "data" / "log")
    database[keys.VERSION] = b"99"
    database.close()
    assert "has format 99" in await only_wrong(doctor)


def test_too_few_open_files_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_files, "raise_limit", lambda needed=0: None)
    monkeypatch.setattr(open_files, "limit", lambda: 256)
    [one] = data_dir.open_files(get_settings())
    assert one.level is Level.WRONG
    assert "This process may have 256 files open, and needs 820 to begin with" in one.sentence


def test_a_python_that_is_too_old_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_PYTHON", (99, 0))
    first = next(iter(checks.findings(Service("http://127.0.0.1:1"))))
    assert (first.level, "requires 99.0 or newer" in first.sentence) == (Level.WRONG, True)


@pytest.fixture
def module(doctor: Command, tmp_path: Path) -> Callable[[str], None]:
    """Makes the module that CALLSCORE_SCORERS names."""

    def write(source: str) -> None:
        (tmp_path / "their_scorers.py").write_text(source)

    doctor.env |= {"CALLSCORE_SCORERS": "their_scorers", "PYTHONPATH": f"{tmp_path}:{doctor.env.get('PYTHONPATH', '')}"}
    return write


async def test_scorers_that_do_not_load_are_wrong_with_the_error_in_a_sentence(
    doctor: Command, module: Callable[[str], None]
) -> None:
    assert "The module 'their_scorers' was left out: it does not import: ModuleNotFound" in await only_wrong(doctor)
    module("raise RuntimeError('first line\\nsecond line')")
    assert "RuntimeError: first line\\nsecond line" in await only_wrong(doctor)
    module("from app.scorers import scorer\n@scorer\ndef mine(output): return 1")
    assert "CALLSCORE_SCORERS: their_scorers." in await all_ok(doctor)


async def test_a_providers_file_must_parse_and_its_keys_be_set_and_none_is_shown(
    doctor: Command, tmp_path: Path
) -> None:
    path = tmp_path / "providers.toml"
    doctor.env["CALLSCORE_PROVIDERS"] = str(path)
    path.write_text("[mine")
    assert "cannot be read as TOML" in await only_wrong(doctor)
    path.write_text('[mine]\nbase_url = "http://127.0.0.1:1"\nkey = "KEY_OF_MINE"\n')
    assert "mine is used without a key. Set KEY_OF_MINE." in await only_warning(doctor)
    doctor.env["KEY_OF_MINE"] = "sk-012345\n6789"
    assert "the environment variable KEY_OF_MINE has characters that no header can carry" in await only_wrong(doctor)
    doctor.env["KEY_OF_MINE"] = "sk-0123456789\n"
    path.write_text(f'{path.read_text()}headers = {{ api-key = "OTHER_KEY" }}\n')
    assert "mine is used without the header api-key. Set OTHER_KEY." in await only_warning(doctor)
    doctor.env["OTHER_KEY"] = "other"
    said = await all_ok(doctor)
    assert "CALLSCORE_PROVIDERS: mine." in said
    assert "sk-0123456789" not in said


async def test_a_key_file_must_be_readable_and_not_open_to_others(doctor: Command, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    doctor.env["CALLSCORE_API_KEYS"] = str(path)
    assert "which is not a file" in await only_wrong(doctor)
    await doctor("keys", "add", str(path), "--user", "ann", "--project", "*")
    assert f"{path} is readable, and only by its owner." in await all_ok(doctor)
    path.chmod(0o644)
    assert f"Run: chmod 600 {path}" in await only_warning(doctor)
    path.write_text("no key\n")
    assert "Line 1 of the key file" in await only_wrong(doctor)


async def test_a_callscore_with_another_data_folder_on_the_port_is_wrong(
    doctor: Command, service: FakeService, tmp_path: Path
) -> None:
    doctor.env |= {"CALLSCORE_URL": service.url, "CALLSCORE_WEB_PORT": service.url.rpartition(":")[2]}
    service.first = answers("0.1.0", 200, {"status": "ready"})
    assert "is in use, but no worker has this data folder" in await only_wrong(doctor)
    instance = claim_instance(tmp_path / "data", service.url)
    service.first = answers("0.1.0", 200, {"status": "ready"})
    assert "instance-0 is used by the worker" in await all_ok(doctor)
    instance.lock.close()


def answers(version: str, status: int, ready: dict[str, str]) -> list[tuple[int, dict[str, str], bytes]]:
    """What a service says of itself, and whether it is ready."""
    about = {"info": {"title": "callscore", "version": version}}
    return [(200, {}, json.dumps(about).encode()), (status, {}, json.dumps(ready).encode())]


async def test_what_answers_may_be_no_callscore_another_version_or_not_ready(
    doctor: Command, service: FakeService
) -> None:
    doctor.env["CALLSCORE_URL"] = service.url
    assert f"The server at {service.url} is not callscore" in await only_wrong(doctor)
    service.first = [(403, {}, b'{"detail": [{"loc": [], "msg": "set CALLSCORE_API_KEYS", "type": "host_refused"}]}')]
    assert "does not allow that: set CALLSCORE_API_KEYS" in await only_wrong(doctor)
    service.first = answers("9.9", 200, {"status": "ready"})
    assert "Its version is 9.9, but this command is 0.1.0" in await only_warning(doctor)
    service.first = answers("0.1.0", 503, {"status": "unavailable", "reason": "the tables are being recovered"})
    assert "but not ready: the tables are being recovered." in await only_warning(doctor)
    service.first = answers("0.1.0", 200, {"status": "ready"})
    assert ", and ready." in await all_ok(doctor)
