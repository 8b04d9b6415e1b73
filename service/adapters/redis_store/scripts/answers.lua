#!lua flags=no-writes
-- A monitor's blocks of answers with the numbers of their last rows, the oldest first; with `below`, from the first one with fewer rows on.
local names, found = redis.call('ZRANGE', key('answers', given.monitor, 'order'), 0, -1), {}
for _, name in ipairs(names) do
  local block = redis.call('HGET', key('answers', given.monitor), name)
  if #found > 0 or not given.below or struct.unpack('<I4', block) < given.below then found[#found + 1] = {tonumber(name), block} end
end
return found
