#!lua flags=no-writes
-- The number of the last judgement that the log tells of, and the next ones in order.
local told = redis.call('HGET', key('monitor', given.monitor), 'told') or '0'
local samples = redis.call('ZRANGE', key('judged', given.monitor, 'order'), '(' .. told, '+inf', 'BYSCORE', 'LIMIT', 0, given.limit)
local found = {}
for place, sample in ipairs(samples) do found[place] = redis.call('HGET', key('judged', given.monitor), sample) end
return {tonumber(told), found}
