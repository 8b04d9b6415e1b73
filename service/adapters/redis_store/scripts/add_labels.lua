#!lua flags=allow-oom
-- The newest answer per batch, sample and annotator wins; returns how many say something new. An answer begins with its time.
local changed = 0
for _, label in ipairs(given.labels) do
  local at = key('labels', label.monitor, label.batch)
  local stored, body = redis.call('HGET', at, label.field), raw(label.body)
  if not stored or struct.unpack('<d', stored) <= struct.unpack('<d', body) then
    if not stored or string.sub(stored, 9) ~= string.sub(body, 9) then changed = changed + 1 end
    redis.call('HSET', at, label.field, body)
    redis.call('SADD', key('labels', label.monitor), label.batch)
  end
end
return changed
