#!lua flags=no-writes
-- How full each part of a monitor's reserve is, and its smallest key.
local found, half_life = {}, redis.call('HGET', key('reserve', given.monitor), 'half_life')
for place, part in ipairs(redis.call('SMEMBERS', key('reserve', given.monitor, 'parts'))) do
  local order = key('reserve', given.monitor, 'part', part)
  found[place] = {part, redis.call('ZCARD', order), redis.call('ZRANGE', order, 0, 0, 'WITHSCORES')[2], half_life}
end
return found
