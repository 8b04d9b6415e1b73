#!lua flags=allow-oom
-- A process ends.
redis.call('HDEL', key('processes'), given.name)
