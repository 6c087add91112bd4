"""The Faust transport `embedded:///path`: topics, consumer and producer on the embedded log."""

from pathlib import Path
from typing import Any, ClassVar

from faust.transport import base

from .consumer import Consumer
from .producer import Producer

__all__ = ["Transport"]


class Transport(base.Transport):
    """Transport of `embedded:///path`, where path is the log's directory."""

    Consumer: ClassVar[Any] = Consumer
    Producer: ClassVar[Any] = Producer

    driver_version = "embedded-log=1"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.path = Path(self.url[0].path)
