#!lua flags=no-writes
-- A monitor's blocks of answers before the first one with as many rows as `below`, with the numbers of their last rows, the newest first.
local names, found = redis.call('ZRANGE', key('answers', given.monitor, 'order'), 0, -1, 'REV'), {}
for place, name in ipairs(names) do
  local block = redis.call('HGET', key('answers', given.monitor), name)
  if struct.unpack('<I4', block) >= given.below then break end
  found[place] = {tonumber(name), block}
end
return found
