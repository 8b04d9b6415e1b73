"""Exact state in Redis, shared by all processes: each change is one script that checks everything before it writes anything."""

from service.adapters.redis_store.connecting import connect
from service.adapters.redis_store.examining import Gravity, Trouble, examine
from service.adapters.redis_store.levels import Standing, newest_level
from service.adapters.redis_store.migrating import climb, standing_of
from service.adapters.redis_store.presence import Process, announce, leave, present
from service.adapters.redis_store.rights import acl_file
from service.adapters.redis_store.server import Server
from service.adapters.redis_store.store import RedisStore

__all__ = [
    "Gravity",
    "Process",
    "RedisStore",
    "Server",
    "Standing",
    "Trouble",
    "acl_file",
    "announce",
    "climb",
    "connect",
    "examine",
    "leave",
    "newest_level",
    "present",
    "standing_of",
]
