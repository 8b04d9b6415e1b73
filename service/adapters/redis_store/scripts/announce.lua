#!lua flags=allow-oom
-- A process says that it runs; those that have not said so for too long go.
local at, time = key('processes'), redis.call('TIME')
local now = time[1] + time[2] / 1e6
local known = redis.call('HGETALL', at)
for place = 1, #known, 2 do
  if struct.unpack('<d', known[place + 1]) < now then redis.call('HDEL', at, known[place]) end
end
redis.call('HSET', at, given.name, struct.pack('<d', now + given.seconds) .. raw(given.body))
