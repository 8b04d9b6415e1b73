#!lua flags=no-writes
-- How many entities of a kind there are: `state:monitor` and the number, in turns. Those of level 1 are counted one by one.
if level >= 2 then return redis.call('HGETALL', key('entities', given.kind, 'tally')) end
local counts, flat = {}, {}
for _, id in ipairs(redis.call('ZRANGE', key('entities', given.kind), 0, -1)) do
  local stored = redis.call('HMGET', key('entity', given.kind, id), 'state', 'document')
  local field = stored[1] .. ':' .. cjson.decode(stored[2]).monitor
  counts[field] = (counts[field] or 0) + 1
end
for field, entities in pairs(counts) do
  flat[#flat + 1] = field
  flat[#flat + 1] = tostring(entities)
end
return flat
