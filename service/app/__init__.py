"""Where the parts are put together: the only place that knows concrete classes."""

from service.adapters.file_source import read_samples
from service.adapters.onnx_embedder import load_embedder
from service.app.backfilling import Backfilling, backfill_alarms, backfill_files, backfill_topic
from service.app.backing_up import DUMP, back_up, restore
from service.app.copying import copy_files
from service.app.examining import examine_kafka, examine_redis
from service.app.files import LOG, STORE, alone
from service.app.installation import Installation, inputs, opened
from service.app.migrating import Survey, migrate, named, survey
from service.app.parts import open_log, open_logs, open_topics
from service.app.process import Serving
from service.app.provisioning import make_topics, redis_users, topic_of
from service.app.roles import Roles, served
from service.app.storage import examine_storage
from service.app.telling import try_ways

__all__ = [
    "DUMP",
    "LOG",
    "STORE",
    "Backfilling",
    "Installation",
    "Roles",
    "Serving",
    "Survey",
    "alone",
    "back_up",
    "backfill_alarms",
    "backfill_files",
    "backfill_topic",
    "copy_files",
    "examine_kafka",
    "examine_redis",
    "examine_storage",
    "inputs",
    "load_embedder",
    "make_topics",
    "migrate",
    "named",
    "open_log",
    "open_logs",
    "open_topics",
    "opened",
    "read_samples",
    "redis_users",
    "restore",
    "served",
    "survey",
    "topic_of",
    "try_ways",
]
