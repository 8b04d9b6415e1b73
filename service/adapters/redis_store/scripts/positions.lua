#!lua flags=no-writes
-- Every partition that was ever assigned.
local found = {}
for place, partition in ipairs(redis.call('SMEMBERS', key('partitions'))) do
  local at = key('partition', partition)
  found[place] = {
    partition,
    redis.call('HMGET', at, 'start', 'offset', 'epoch', 'time', 'lost', 'stopped', 'retired'),
    redis.call('HGETALL', at .. ':shapes'),
  }
end
return found
