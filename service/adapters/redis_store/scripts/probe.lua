#!lua
-- alone
-- The level of the keys, and who may work on them. Writes nothing, but is refused as a commit would be: memory full, a replica, a disk
-- that takes nothing.
local level = redis.call('GET', ARGV[1] .. ':schema') or '0'
return {tonumber(level), tonumber(redis.call('GET', ARGV[1] .. ':oldest') or level)}
