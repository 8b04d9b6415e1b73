#!lua flags=no-writes
-- alone
-- The level of the keys, and who may work on them.
local level = redis.call('GET', ARGV[1] .. ':schema') or '0'
return {tonumber(level), tonumber(redis.call('GET', ARGV[1] .. ':oldest') or level)}
