#!lua flags=allow-oom
-- A block of answers stands without some of its rows, unless it was merged into another meanwhile.
local at, name = key('answers', given.monitor), string.format('%d', given.number)
if redis.call('HGET', at, name) ~= raw(given.before) then return 0 end
redis.call('HSET', at, name, raw(given.body))
return 1
