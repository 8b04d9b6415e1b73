#!lua flags=no-writes
-- How full each part of a monitor's reserve is, and its smallest key.
local found = {}
for place, part in ipairs(redis.call('SMEMBERS', key('reserve', given.monitor, 'parts'))) do
  local order = key('reserve', given.monitor, 'part', part)
  found[place] = {part, redis.call('ZCARD', order), redis.call('ZRANGE', order, 0, 0, 'WITHSCORES')[2]}
end
return found
