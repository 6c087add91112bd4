"""How long this worker may rely on being a member of Kafka's group, and so on owning its partitions."""

import time
from collections.abc import Callable


class Membership:
    """When the group last heard from this worker, as far as the worker knows.

    A worker that was cut off from Kafka, or suspended, for longer than its session has lost its partitions and does not
    know it yet. Whatever it sent then would come behind the records of their new owner: old rows would overwrite newer
    ones, and the worker would take the offset of its own record for how far its tables are.

    So from `limit` seconds after the last confirmed heartbeat on, it is in doubt: nothing is sent, and nothing is
    answered from its tables, which may lack what the new owner writes. The next heartbeat shows which it is: the group
    still knows the worker, as after a restart of the broker, and it goes on; or it does not, and `lost` is called with
    the seconds.

    Only the consumer's thread changes this; others may read it.
    """

    def __init__(self, limit: float, lost: Callable[[float], None]) -> None:
        self.limit = limit
        self._lost = lost
        self._asked = now()
        self._heard: float | None = None  # None: there are no partitions to lose

    @property
    def in_doubt(self) -> bool:
        """Whether others may have this worker's partitions."""
        return self._silence() > self.limit

    def ask(self) -> None:
        """The group is asked for this worker's partitions now. Its session counts from when the answer is sent."""
        self._asked = now()

    def begin(self) -> None:
        """The group has assigned partitions to this worker, some time after it was asked."""
        self._heard = self._asked

    def confirm(self, sent: float) -> None:
        """The group knew this worker by a heartbeat that was sent at `sent`, which is before Kafka received it."""
        if self._heard is not None:
            self._heard = sent

    def deny(self) -> None:
        """The group does not know this worker, which joins again unless it was in doubt, as when it was replaced."""
        if (silence := self._silence()) > self.limit:
            self._lost(silence)
        self.end()

    def end(self) -> None:
        """There are no partitions to lose until the next `begin`."""
        self._heard = None

    def _silence(self) -> float:
        heard = self._heard
        return 0.0 if heard is None else now() - heard


def now() -> float:
    """Seconds on a clock that, unlike Linux's monotonic one, also runs while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
