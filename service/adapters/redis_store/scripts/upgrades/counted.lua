-- From level 1: entities say whose they are, and how many there are is kept. Newer programs have said the former already.
for _, kind in ipairs(given.kinds) do
  redis.call('DEL', key('entities', kind, 'tally'))
  for _, id in ipairs(redis.call('ZRANGE', key('entities', kind), 0, -1)) do
    local at = key('entity', kind, id)
    local stored = redis.call('HMGET', at, 'state', 'document')
    local monitor = cjson.decode(stored[2]).monitor
    redis.call('HSET', at, 'monitor', monitor)
    redis.call('HINCRBY', key('entities', kind, 'tally'), stored[1] .. ':' .. monitor, 1)
  end
end
