#!lua flags=allow-oom
-- Where payloads of a monitor's reserve lie from now on; rows that went meanwhile stay away.
for sample, payload in pairs(given.payloads) do
  local at = key('reserve', given.monitor, 'row', sample)
  if redis.call('HSTRLEN', at, 'payload') > 0 then redis.call('HSET', at, 'payload', raw(payload)) end
end
