#!lua flags=no-writes
-- Every partition that was ever assigned, or those of one topic and number.
local found = {}
for _, partition in ipairs(redis.call('SMEMBERS', key('partitions'))) do
  local topic, number = string.match(partition, '^([^/]*)/[^/]*/(%d+)$')
  if not given.topic or topic == given.topic and number == given.number then
    local at = key('partition', partition)
    found[#found + 1] = {
      partition,
      redis.call('HMGET', at, 'start', 'offset', 'epoch', 'time', 'lost', 'stopped', 'retired'),
      redis.call('HGETALL', at .. ':shapes'),
    }
  end
end
return found
