#!lua flags=allow-oom
-- What is known of some samples besides themselves: annotators' answers, judgements, and whose twins others were.
local gone = {labels = 0, judgements = 0, judged = 0}
local wanted = {}
for _, sample in ipairs(given.samples) do
  wanted[sample] = true
  gone.judgements = gone.judgements + redis.call('HDEL', key('judged', given.monitor), sample)
  redis.call('ZREM', key('judged', given.monitor, 'order'), sample)
  gone.judged = gone.judged + redis.call('ZREM', key('judged', given.monitor, 'past'), sample)
  local twin = redis.call('HGET', key('reserve', given.monitor, 'twins'), sample)
  if twin then
    redis.call('HDEL', key('reserve', given.monitor, 'twins'), sample)
    redis.call('HDEL', key('reserve', given.monitor, 'row', twin), 'twin')
  end
end
for _, batch in ipairs(redis.call('SMEMBERS', key('labels', given.monitor))) do
  local at = key('labels', given.monitor, batch)
  for _, field in ipairs(redis.call('HKEYS', at)) do
    if wanted[cjson.decode(field)[1]] then gone.labels = gone.labels + redis.call('HDEL', at, field) end
  end
end
return {gone.labels, gone.judgements, gone.judged}
