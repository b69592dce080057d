-- Writes, so that a full or read-only server shows.  Returns  epoch, head, the eviction policy
redis.call('HSET', meta, 'checked', exact(now))
local policy = string.match(redis.call('INFO', 'memory'), 'maxmemory_policy:([%w-]+)')
return {epoch, str(head), policy or ''}
