#!lua flags=no-writes
-- A monitor's open panes, over all partitions.
local found = {}
for _, partition in ipairs(redis.call('SMEMBERS', key('partitions'))) do
  for _, body in ipairs(redis.call('HVALS', key('partition', partition, 'open', given.monitor))) do found[#found + 1] = body end
end
return found
