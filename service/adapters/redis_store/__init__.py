"""Exact state in Redis, shared by all processes: each change is one script that checks everything before it writes anything."""

from service.adapters.redis_store.connecting import connect
from service.adapters.redis_store.examining import Gravity, Trouble, examine
from service.adapters.redis_store.rights import acl_file
from service.adapters.redis_store.server import Server
from service.adapters.redis_store.store import RedisStore

__all__ = ["Gravity", "RedisStore", "Server", "Trouble", "acl_file", "connect", "examine"]
