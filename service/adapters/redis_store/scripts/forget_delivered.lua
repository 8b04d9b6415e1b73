#!lua flags=allow-oom
-- Takes the items that have expired, delivered or dropped, out of the indexes, oldest first; says whether there may be more.
local more = 0
for _, state in ipairs({'delivered', 'dropped'}) do
  local settled = key('outbox', 'in', state)
  local oldest = redis.call('ZRANGE', settled, 0, given.limit - 1)
  local gone = 0
  for _, id in ipairs(oldest) do
    if redis.call('EXISTS', key('outbox', 'item', id)) == 1 then break end
    redis.call('ZREM', settled, id)
    redis.call('ZREM', key('outbox'), id)
    gone = gone + 1
  end
  if gone == given.limit then more = 1 end
end
return more
