"""What the server must allow whoever keeps an installation's state there, and no more."""

from __future__ import annotations

import hashlib

RIGHTS = (
    "+info", "+config|get", "+bgrewriteaof", "+bgsave", "+select", "+eval", "+evalsha", "+multi", "+exec", "+time", "+exists", "+del",
    "+expire", "+persist", "+get", "+set", "+setnx", "+incr", "+setrange", "+hget", "+hmget", "+hgetall", "+hkeys", "+hvals", "+hstrlen",
    "+hset", "+hincrby", "+hdel", "+smembers", "+sadd", "+srem", "+zrange", "+zscore", "+zcard", "+zadd", "+zrem", "+lrange", "+lindex",
    "+rpush", "+lset", "+lrem", "+ltrim", "+xrange", "+xadd", "+xtrim",
)  # fmt: skip
"""As `docs/redis.md` explains them."""


def acl_file(user: str, prefix: str, password: str) -> str:
    """The lines of an ACL file by which nobody is let in but that user, over the installation's keys; it holds a hash of the password."""
    hashed = hashlib.sha256(password.encode()).hexdigest()
    return f"user default off\nuser {user} on #{hashed} ~{prefix}:* {' '.join(RIGHTS)}\n"
