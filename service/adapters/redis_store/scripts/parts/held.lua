-- Whether a partition is held under an epoch, and may be read on.

-- Why it is not held, or nil.
local function not_held(partition, epoch)
  local stored = redis.call('HGET', key('partition', partition), 'epoch')
  if not stored or tonumber(stored) ~= epoch then
    return string.format('partition %s: epoch %d is over, %s holds it now; take the partition up again', partition, epoch, stored or 'no other')
  end
end

-- Why a person must first say where to read on; empty where all is well.
local function stopped_for(at)
  local stored = redis.call('HMGET', at, 'stopped', 'retired')
  return stored[2] == '1' and 'another topic of this name is read in its place' or stored[1]
end
