#!lua flags=allow-oom
-- The next holder need not wait.
local at = key('lease', given.name)
if redis.call('HGET', at, 'holder') == given.holder then redis.call('HSET', at, 'holder', '', 'until', 0) end
