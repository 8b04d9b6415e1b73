-- From schema 1: entities say whose they are, and how many there are is kept.
local kinds = {
  'alarm', 'annotation-batch', 'refresh-cycle', 'declaration', 'failure-mark', 'label-scheme', 'delivery', 'errand', 'refresh-slot',
}
for _, kind in ipairs(kinds) do
  for _, id in ipairs(redis.call('ZRANGE', key('entities', kind), 0, -1)) do
    local at = key('entity', kind, id)
    local stored = redis.call('HMGET', at, 'state', 'document')
    local monitor = cjson.decode(stored[2]).monitor
    redis.call('HSET', at, 'monitor', monitor)
    redis.call('HINCRBY', key('entities', kind, 'tally'), stored[1] .. ':' .. monitor, 1)
  end
end
