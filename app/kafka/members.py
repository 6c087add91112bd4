"""The consumer group's members: no two workers may have the same URL, or the same identity.

Partitions are found by the URL of their owner. With an identity that another worker has too, each join would replace
the other worker, and both would work on the same partitions.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, for_code

INTERVAL = 5.0  # seconds between looks
LOOKS = 4  # so many in a row must find the same: a worker that died stays a member for its session, ten seconds
_LONGEST = 249  # characters of an identity


class Member(NamedTuple):
    """A member of the group; of ours, the id begins with the identity."""

    id: str
    host: str


async def members(admin: AIOKafkaAdminClient, group: str) -> list[Member]:
    """The members of a group. Raises KafkaError."""
    [answer] = await admin.describe_consumer_groups([group])
    [(code, _, _, _, _, found, *_)] = answer.groups
    if code:
        raise for_code(code)(f"group {group} cannot be described")
    return [Member(member_id, host.lstrip("/")) for member_id, _, host, *_ in found]


async def wait_until_gone(
    admin: AIOKafkaAdminClient, group: str, who: Callable[[Sequence[Member]], Sequence[Member]], seconds: float
) -> Sequence[Member]:
    """Wait until the group has none of the members that `who` picks; returns those that are there after `seconds`.

    Raises:
        KafkaError: Kafka does not answer, or refuses.
    """
    ends = asyncio.get_running_loop().time() + seconds
    while True:
        is_late = asyncio.get_running_loop().time() > ends
        with suppress(*() if is_late else (GroupCoordinatorNotAvailableError,)):  # a new Kafka has none for a moment
            found = who(await members(admin, group))
            if is_late or not found:
                return found
        await asyncio.sleep(0.5)


class Identity(NamedTuple):
    """Who a worker is in the group."""

    group: str
    url: str
    prefix: str  # with which the identity of every worker at `url` begins
    instance: str  # the identity itself

    @classmethod
    def of(cls, group: str, url: str, instance_id: str) -> Self:
        """The identity of a worker at `url` in an instance folder with this id."""
        prefix = _safe(f"{url}-")
        # With another url it is another worker: its old assignment names the old url, and Faust would not take it.
        return cls(group, url, prefix, f"{prefix}{instance_id}"[-_LONGEST:])

    def namesakes(self, found: Sequence[Member]) -> list[Member]:
        """The members that have the same URL and are other workers."""
        return [one for one in found if one.id.startswith(self.prefix) and not self.is_own(one)]

    def is_own(self, member: Member) -> bool:
        """Whether a member has this identity."""
        return member.id.startswith(f"{self.instance}-")

    def shared_with(self, other: Member) -> str:
        """A sentence: another worker has this URL."""
        return (
            f"Another worker, at {other.host}, has the same URL, {self.url}, in Kafka's group {self.group}: set "
            "CALLSCORE_ADVERTISED_URL of each worker to a URL of its own at which the others reach it."
        )

    def replaced(self) -> str:
        """A sentence: another worker joins as this one."""
        return (
            f"Another worker joins Kafka's group {self.group} as this one, {self.instance}, again and again: its data "
            "folder is a copy of this worker's. Stop it, delete the file `id` and the folders instance-* in one of the "
            "data folders, and set CALLSCORE_ADVERTISED_URL of each worker to a URL of its own."
        )


def _safe(text: str) -> str:
    return re.sub("[^a-zA-Z0-9._-]+", "-", text)


class Watch:
    """What one look after the other at the group finds."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._last = ""
        self._shared = 0
        self._replaced = 0

    def look(self, found: Sequence[Member], member_id: str) -> str | None:
        """Why this worker, which is the member `member_id`, must end, or None.

        Of two with the same URL, the one whose id sorts first stays.
        """
        others = sorted(self._identity.namesakes(found))
        self._shared = self._shared + 1 if others and member_id > others[0].id else 0
        # A static member gets a new id only when it has been replaced, or was away for its whole session.
        own = [one.id for one in found if self._identity.is_own(one)]
        replaced = bool(self._last) and (member_id != self._last or (bool(own) and member_id not in own))
        self._replaced = self._replaced + 1 if replaced else 0
        self._last = member_id
        if self._shared >= LOOKS:
            return self._identity.shared_with(others[0])
        return self._identity.replaced() if self._replaced >= LOOKS else None


async def wait_for_own_url(admin: AIOKafkaAdminClient, identity: Identity) -> str | None:
    """Wait while another member has the same URL, as one does that has just died; why to end if it stays, or None.

    Raises:
        KafkaError: Kafka does not answer, or refuses.
    """
    others = await wait_until_gone(admin, identity.group, identity.namesakes, LOOKS * INTERVAL)
    return identity.shared_with(others[0]) if others else None


async def watch(
    admin: AIOKafkaAdminClient, identity: Identity, member_id: Callable[[], str], end: Callable[[str], None]
) -> None:
    """Look for other workers with this URL or identity for ever; call `end` with a sentence if one stays.

    Raises:
        KafkaError: Kafka does not answer, or refuses.
    """
    watching = Watch(identity)
    while True:
        if own := member_id():
            why = watching.look(await members(admin, identity.group), own)
            if why is not None:
                end(why)
        await asyncio.sleep(INTERVAL)
