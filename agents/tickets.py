"""Acknowledging the records of a partition in order, however their work ends."""

from collections import defaultdict, deque
from typing import Any


class Ticket:
    """One record in the order of its partition; `finish` may be called at any time, once its work is done."""

    __slots__ = ("_event", "_finished", "_in_order")

    def __init__(self, in_order: "InOrder", event: Any) -> None:
        self._in_order = in_order
        self._event = event
        self._finished = False

    def finish(self) -> None:
        self._finished = True
        self._in_order.acknowledge()

    def acknowledged(self) -> bool:
        if self._finished:
            self._event.ack()
        return self._finished


class InOrder:
    """Acknowledges the records of one partition in order, however they finish."""

    def __init__(self) -> None:
        self._open: deque[Ticket] = deque()

    def add(self, event: Any) -> Ticket:
        ticket = Ticket(self, event)
        self._open.append(ticket)
        return ticket

    def acknowledge(self) -> None:
        while self._open and self._open[0].acknowledged():
            self._open.popleft()


class Tickets:
    """The tickets of one topic, by partition."""

    def __init__(self) -> None:
        self._in_order: defaultdict[int, InOrder] = defaultdict(InOrder)

    def add(self, partition: int, event: Any) -> Ticket:
        return self._in_order[partition].add(event)

    def forget(self) -> None:
        """Partitions were assigned anew: their records come again from the committed offsets on."""
        self._in_order.clear()
