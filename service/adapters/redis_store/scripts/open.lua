#!lua flags=allow-oom
-- alone
-- The version of the keys and the id of this state; an empty prefix gets both.
local prefix, schema, given = ARGV[1], ARGV[2], cmsgpack.unpack(ARGV[3])
redis.call('SETNX', prefix .. ':schema', schema)
redis.call('SETNX', prefix .. ':id', given.id)
return {tonumber(redis.call('GET', prefix .. ':schema')), redis.call('GET', prefix .. ':id')}
