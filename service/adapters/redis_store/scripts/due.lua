#!lua flags=no-writes
-- Pending items whose time has come, the longest due first; without those for some destinations.
-- No key stands before an item's destination but its id and kind, so the first one found is the item's own.
local due, without, documents = key('outbox', 'due'), {}, {}
for _, name in ipairs(given.without) do without[name] = true end
local first, page = 0, given.limit
repeat
  local ids = redis.call('ZRANGE', due, '-inf', given.now, 'BYSCORE', 'LIMIT', first, page)
  for _, id in ipairs(ids) do
    local document = redis.call('HGET', key('outbox', 'item', id), 'document')
    if not without[string.match(document, '"destination":(".-[^\\]")')] then documents[#documents + 1] = document end
    if #documents == given.limit then return documents end
  end
  first, page = first + #ids, 100
until #ids == 0
return documents
