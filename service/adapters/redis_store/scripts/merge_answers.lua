#!lua flags=allow-oom
-- Several blocks of answers become one under the last one's number, unless one of them has gone meanwhile.
local at, order = key('answers', given.monitor), key('answers', given.monitor, 'order')
for _, number in ipairs(given.numbers) do
  if redis.call('HSTRLEN', at, string.format('%d', number)) == 0 then return end
end
for place = 1, #given.numbers - 1 do
  local name = string.format('%d', given.numbers[place])
  redis.call('HDEL', at, name)
  redis.call('ZREM', order, name)
end
redis.call('HINCRBY', key('monitor', given.monitor), 'merged', 1)
redis.call('HSET', at, string.format('%d', given.numbers[#given.numbers]), struct.pack('<I4', given.rows) .. raw(given.body))
