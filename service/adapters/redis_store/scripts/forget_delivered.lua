#!lua flags=allow-oom
-- Takes the delivered items that have expired out of the indexes, oldest first; says whether there may be more.
local delivered = key('outbox', 'in', 'delivered')
local oldest = redis.call('ZRANGE', delivered, 0, given.limit - 1)
for _, id in ipairs(oldest) do
  if redis.call('EXISTS', key('outbox', 'item', id)) == 1 then return 0 end
  redis.call('ZREM', delivered, id)
  redis.call('ZREM', key('outbox'), id)
end
return #oldest == given.limit and 1 or 0
