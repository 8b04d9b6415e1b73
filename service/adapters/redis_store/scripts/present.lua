#!lua flags=no-writes
-- alone
-- What processes that run say of themselves, and who holds a lease: whoever asks, and whatever level the keys are of.
local prefix, given = ARGV[1], cmsgpack.unpack(ARGV[3])
local time = redis.call('TIME')
local now, bodies = time[1] + time[2] / 1e6, {}
for _, known in ipairs(redis.call('HVALS', prefix .. ':processes')) do
  if struct.unpack('<d', known) >= now then bodies[#bodies + 1] = string.sub(known, 9) end
end
local lease = redis.call('HMGET', prefix .. ':lease:' .. given.lease, 'holder', 'until')
return {bodies, tonumber(lease[2] or 0) >= now and lease[1] or ''}
