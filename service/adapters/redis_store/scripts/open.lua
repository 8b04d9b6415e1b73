#!lua flags=allow-oom
-- alone
-- The level of the keys, who may work on them, and the id of this state; an empty prefix gets all three.
local prefix, newest, given = ARGV[1], ARGV[2], cmsgpack.unpack(ARGV[3])
if redis.call('SETNX', prefix .. ':schema', newest) == 1 then redis.call('SET', prefix .. ':oldest', given.oldest) end
redis.call('SETNX', prefix .. ':id', given.id)
local level = redis.call('GET', prefix .. ':schema')
return {tonumber(level), tonumber(redis.call('GET', prefix .. ':oldest') or level), redis.call('GET', prefix .. ':id')}
