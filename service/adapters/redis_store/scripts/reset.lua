#!lua flags=allow-oom
-- use: log
-- A person's word on where a partition is read on.

-- Open panes close as they stand: what was counted stays counted. What waits and the recent ids belong to the reading that ends.
local function settle(at)
  local monitors = redis.call('SMEMBERS', at .. ':open')
  table.sort(monitors)
  for _, monitor in ipairs(monitors) do
    local open = at .. ':open:' .. monitor
    local fields = redis.call('HKEYS', open)
    table.sort(fields)
    for _, field in ipairs(fields) do close_pane(monitor, redis.call('HGET', open, field)) end
    redis.call('DEL', open)
  end
  redis.call('DEL', at .. ':open', at .. ':waiting', at .. ':ids')
  redis.call('HSET', at, 'ids', 0)
end

local at = key('partition', given.partition)
if redis.call('SADD', key('partitions'), given.partition) == 1 then
  redis.call('HSET', at, 'start', given.offset, 'time', 0, 'lost', 0)
end
redis.call('HINCRBY', at, 'epoch', 1)
redis.call('HSET', at, 'offset', given.offset, 'stopped', '', 'retired', 0)
if tonumber(redis.call('HGET', at, 'start')) > given.offset then redis.call('HSET', at, 'start', given.offset) end
local shapes = redis.call('HGETALL', at .. ':shapes')
for place = 1, #shapes, 2 do
  local version, since = string.match(shapes[place + 1], '^(%d+) (%d+)$')
  if tonumber(since) > given.offset then
    redis.call('HSET', at .. ':shapes', shapes[place], string.format('%s %d', version, given.offset))
  end
end
settle(at)

local topic, _, number = string.match(given.partition, '^([^/]*)/([^/]*)/(%d+)$')
for _, other in ipairs(redis.call('SMEMBERS', key('partitions'))) do
  local its_topic, _, its_number = string.match(other, '^([^/]*)/([^/]*)/(%d+)$')
  local its = key('partition', other)
  if other ~= given.partition and its_topic == topic and its_number == number and redis.call('HGET', its, 'retired') == '0' then
    redis.call('HINCRBY', its, 'epoch', 1)
    redis.call('HSET', its, 'retired', 1)
    settle(its)
  end
end
for _, event in ipairs(given.events) do record_event(event) end
