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

local function save_entity(entity)
  local at = key('entity', entity.kind, entity.id)
  local stored = redis.call('HMGET', at, 'state', 'created')
  local state, created = stored[1], stored[2] or entity.created
  redis.call('HSET', at, 'version', entity.version, 'state', entity.state, 'created', created, 'document', raw(entity.body))
  local all, mine = key('entities', entity.kind), key('entities', entity.kind, 'of', entity.monitor)
  for _, index in ipairs({all, mine}) do
    if state and state ~= entity.state then redis.call('ZREM', index .. ':in:' .. state, entity.id) end
    redis.call('ZADD', index, created, entity.id)
    redis.call('ZADD', index .. ':in:' .. entity.state, created, entity.id)
  end
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
