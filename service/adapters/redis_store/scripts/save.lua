#!lua flags=allow-oom
-- use: entities
-- Entities by version, with what leaves because of them; all or none.
local problem = entity_conflict(given.entities)
if problem then return refuse('CONFLICT', '%s', problem) end
save(given.entities, given.outbox)
