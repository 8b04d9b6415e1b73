#!lua flags=allow-oom
-- Takes or renews a lease by the server's clock: its token, higher for each new holder.
local at, time = key('lease', given.name), redis.call('TIME')
local now = time[1] + time[2] / 1e6
local stored = redis.call('HMGET', at, 'holder', 'token', 'until')
local holder, token = stored[1], tonumber(stored[2] or 0)
if holder ~= given.holder and tonumber(stored[3] or 0) > now then return false end
if holder ~= given.holder then token = token + 1 end
redis.call('HSET', at, 'holder', given.holder, 'token', token, 'until', now + given.seconds)
return token
