-- Passages join what is there of them; of each level as many of the oldest go as are too many.
local function add_passages(monitor, passages)
  for _, passage in ipairs(passages) do
    local at, start = key('timeline', monitor, passage.seconds, passage.segment), string.format('%.17g', passage.start)
    local samples, evidence, strongest = passage.samples, passage.evidence, raw(passage.strongest)
    local there = redis.call('ZRANGE', at, start, start, 'BYSCORE')[1]
    if there then
      local _, counted, most = struct.unpack('<ddd', there)
      samples = samples + counted
      if evidence <= most then evidence, strongest = most, string.sub(there, 25) end
      redis.call('ZREM', at, there)
    end
    redis.call('ZADD', at, start, struct.pack('<ddd', passage.start, samples, evidence) .. strongest)
    for _, oldest in ipairs(redis.call('ZRANGE', at, 0, -(passage.kept + 1))) do redis.call('ZREM', at, oldest) end
  end
end
