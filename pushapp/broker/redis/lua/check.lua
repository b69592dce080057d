-- Writes, so that a full or read-only server shows.  Returns  epoch, head, the eviction policy, bytes in use, bytes at most (0: any)
redis.call('HSET', meta, 'checked', exact(now))
local info = redis.call('INFO', 'memory')
local function said(name) return string.match(info, '[\r\n]' .. name .. ':([%w-]+)') end
return {epoch, str(head), said('maxmemory_policy') or '', said('used_memory') or '0', said('maxmemory') or '0'}
