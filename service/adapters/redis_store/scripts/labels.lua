#!lua flags=no-writes
-- A monitor's answers by batch, or those of one batch.
local found = {}
for _, batch in ipairs(given.batch and {given.batch} or redis.call('SMEMBERS', key('labels', given.monitor))) do
  found[#found + 1] = {batch, redis.call('HGETALL', key('labels', given.monitor, batch))}
end
return found
