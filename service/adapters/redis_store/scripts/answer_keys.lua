#!lua flags=no-writes
-- How often a monitor's blocks of answers were merged; and of some of them, the newest first, the number of the last row and the rows' keys.
local order, found = key('answers', given.monitor, 'order'), {}
local names = redis.call('ZRANGE', order, given.before, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, given.limit)
for place, name in ipairs(names) do
  local block = redis.call('HGET', key('answers', given.monitor), name)
  found[place] = {tonumber(name), string.sub(block, 9, 8 + 8 * struct.unpack('<I4', block))}
end
return {tonumber(redis.call('HGET', key('monitor', given.monitor), 'merged') or 0), found}
