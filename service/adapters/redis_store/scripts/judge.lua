#!lua
-- use: truth
-- What became known of a monitor's samples, if nothing else did meanwhile.
local revision = tonumber(redis.call('HGET', key('monitor', given.monitor), 'revision') or 0)
if given.revision and given.revision ~= revision then
  return refuse('CONFLICT', 'monitor %s: more became known meanwhile (revision %d, not %d); read again', given.monitor, revision, given.revision)
end
judge(given)
