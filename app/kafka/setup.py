"""Before a worker starts on Kafka: wait until it answers, prepare the topics, and wait until the URL is its own."""

import logging
from typing import Any

from aiokafka.errors import KafkaError
from mode import Service

from .cluster import Cluster, ImportUnfinished, TopicMismatch, TopicUnsafe, connected, explain, prepare
from .members import wait_for_own_url, watch
from .topic_id import topic_id

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.5  # seconds between attempts to reach Kafka, doubled up to the longest
_LONGEST_PAUSE = 10.0


class Setup(Service):
    """Connects to Kafka and prepares its topics before any other part of the worker uses it."""

    def __init__(self, cluster: Cluster, app: Any, identified_by: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._cluster = cluster
        self._app = app
        self._identified_by = identified_by  # the topic whose id is that of the log

    async def on_start(self) -> None:
        pause = _FIRST_PAUSE
        while not self.should_stop:
            try:
                async with connected(self._cluster) as admin:
                    await prepare(admin, self._cluster)
                    log_id = await topic_id(admin, self._identified_by)
                    ends = await wait_for_own_url(admin, self._app.identity)
            except (KafkaError, OSError) as error:
                problem = f"Kafka at {','.join(self._cluster.servers)} cannot be used: {explain(error)}"
                if problem != self._app.waiting_for:
                    log.error("%s; trying again until it can", problem)
                self._app.waiting_for = problem
                await self.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            except (TopicMismatch, TopicUnsafe, ImportUnfinished) as error:
                self._app.on_hopeless(str(error))
                return
            else:
                if ends is not None:
                    self._app.on_hopeless(ends)
                self._app.use_log(log_id)
                self._app.waiting_for = None
                return

    @Service.task
    async def _watch_members(self) -> None:
        while not self.should_stop:
            try:
                async with connected(self._cluster) as admin:
                    await watch(admin, self._app.identity, self._member_id, self._app.on_hopeless)
            except (KafkaError, OSError) as error:
                log.info("the members of the group cannot be seen: %s", explain(error))
            await self.sleep(_LONGEST_PAUSE)

    def _member_id(self) -> str:
        return str(self._app.consumer.member_id)
