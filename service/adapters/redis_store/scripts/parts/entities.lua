-- Entities by version, and the outbox items that leave with their changes.

-- Which version is in the way, or nil.
local function entity_conflict(entities)
  local seen = {}
  for _, entity in ipairs(entities) do
    local at = key('entity', entity.kind, entity.id)
    local stored = seen[at] or tonumber(redis.call('HGET', at, 'version') or 0)
    if entity.version ~= stored + 1 then
      return string.format(
        '%s %s: version %d is stored, a change must bring %d, not %d; read it again',
        entity.name, entity.id, stored, stored + 1, entity.version)
    end
    seen[at] = entity.version
  end
end

local function indexes_of(kind, monitor)
  return {key('entities', kind), key('entities', kind, 'of', monitor)}
end

-- How many there are is kept with each change: to count them would take longer the more there are. At level 1 older programs don't.
local function count(kind, monitor, state, by)
  if level < 2 then return end
  local at, field = key('entities', kind, 'tally'), state .. ':' .. monitor
  if redis.call('HINCRBY', at, field, by) == 0 then redis.call('HDEL', at, field) end
end

local function save_entity(entity)
  local at = key('entity', entity.kind, entity.id)
  local stored = redis.call('HMGET', at, 'state', 'created')
  local state, created = stored[1], stored[2] or entity.created
  redis.call('HSET', at, 'version', entity.version, 'state', entity.state, 'created', created, 'document', raw(entity.body))
  redis.call('HSET', at, 'monitor', entity.monitor)
  if state then count(entity.kind, entity.monitor, state, -1) end
  count(entity.kind, entity.monitor, entity.state, 1)
  for _, index in ipairs(indexes_of(entity.kind, entity.monitor)) do
    if state and state ~= entity.state then redis.call('ZREM', index .. ':in:' .. state, entity.id) end
    redis.call('ZADD', index, created, entity.id)
    redis.call('ZADD', index .. ':in:' .. entity.state, created, entity.id)
  end
end

-- How many went: one or none.
local function drop_entity(kind, id)
  local at = key('entity', kind, id)
  local stored = redis.call('HMGET', at, 'state', 'monitor', 'document')
  if not stored[1] then return 0 end
  local monitor = stored[2] or cjson.decode(stored[3]).monitor  -- an older program's at level 1
  for _, index in ipairs(indexes_of(kind, monitor)) do
    redis.call('ZREM', index, id)
    redis.call('ZREM', index .. ':in:' .. stored[1], id)
  end
  count(kind, monitor, stored[1], -1)
  redis.call('DEL', at)
  return 1
end

-- An item that is there already keeps its state.
local function add_outbox(items)
  for _, item in ipairs(items) do
    local at = key('outbox', 'item', item.id)
    if redis.call('EXISTS', at) == 0 then
      local number = redis.call('INCR', key('outbox', 'number'))
      redis.call('HSET', at, 'number', number, 'state', item.state, 'document', raw(item.body))
      redis.call('ZADD', key('outbox'), number, item.id)
      redis.call('ZADD', key('outbox', 'in', item.state), number, item.id)
      if item.state == 'pending' then redis.call('ZADD', key('outbox', 'due'), item.due, item.id) end
    end
  end
end

local function save(entities, items)
  for _, entity in ipairs(entities) do save_entity(entity) end
  add_outbox(items)
end
