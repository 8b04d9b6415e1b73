#!lua flags=no-writes
-- A monitor's chunks of samples from the first on that has one as young as asked for. A chunk begins with its rows and its newest time.
local columns, first = redis.call('LRANGE', key('pool', given.monitor), 0, -1), nil
for place, chunk in ipairs(columns) do
  local _, newest = struct.unpack('<I4d', chunk)
  if newest >= given.since then
    first = place
    break
  end
end
if not first then return {{}, {}} end
return {
  redis.call('LRANGE', key('pool', given.monitor), first - 1, -1),
  redis.call('LRANGE', key('vectors', given.monitor), first - 1, -1),
}
