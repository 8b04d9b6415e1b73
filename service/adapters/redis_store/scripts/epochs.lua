#!lua flags=no-writes
-- Under which epoch each of some partitions is held.
local found = {}
for place, partition in ipairs(given.partitions) do found[place] = redis.call('HGET', key('partition', partition), 'epoch') end
return found
