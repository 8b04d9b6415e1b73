#!lua flags=allow-oom
-- A chunk of a monitor's pool stands with fewer rows, or goes; 0 where it has gone meanwhile.
local columns, vectors, monitor = key('pool', given.monitor), key('vectors', given.monitor), key('monitor', given.monitor)
for place, chunk in ipairs(redis.call('LRANGE', columns, 0, -1)) do
  if chunk == raw(given.before) then
    redis.call('LSET', columns, place - 1, raw(given.columns))
    redis.call('LSET', vectors, place - 1, raw(given.vectors))
    if given.rows == 0 then
      redis.call('LREM', columns, 1, raw(given.columns))
      redis.call('LREM', vectors, 1, raw(given.vectors))
    end
    redis.call('HINCRBY', monitor, 'held', given.rows - struct.unpack('<I4', chunk))
    return 1
  end
end
return 0
