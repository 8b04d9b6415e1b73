#!lua
-- alone
-- Writes nothing, but is refused as a commit would be: memory full, a replica, a disk that takes nothing.
return tonumber(redis.call('GET', ARGV[1] .. ':schema') or 0)
