#!lua flags=no-writes
-- Pending items whose time has come, the longest due first.
local documents = {}
for place, id in ipairs(redis.call('ZRANGE', key('outbox', 'due'), '-inf', given.now, 'BYSCORE', 'LIMIT', 0, given.limit)) do
  documents[place] = redis.call('HGET', key('outbox', 'item', id), 'document')
end
return documents
