#!lua flags=allow-oom
-- The new state of an outbox item. What is delivered, or was dropped, goes after a while.
local at = key('outbox', 'item', given.id)
local stored = redis.call('HMGET', at, 'state', 'number', 'document')
if not stored[1] then return refuse('NOTFOUND', "no outbox item '%s'", given.id) end
if stored[3] ~= raw(given.before) then return refuse('CONFLICT', "outbox item '%s' was changed meanwhile", given.id) end
redis.call('HSET', at, 'state', given.state, 'document', raw(given.body))
redis.call('ZREM', key('outbox', 'in', stored[1]), given.id)
redis.call('ZADD', key('outbox', 'in', given.state), stored[2], given.id)
if given.state == 'pending' then
  redis.call('ZADD', key('outbox', 'due'), given.due, given.id)
else
  redis.call('ZREM', key('outbox', 'due'), given.id)
end
if given.state == 'delivered' or given.state == 'dropped' then redis.call('EXPIRE', at, given.keep) else redis.call('PERSIST', at) end
