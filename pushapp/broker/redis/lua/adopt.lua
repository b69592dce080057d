-- The first thing on every new connection: makes sure that nothing here is given out twice.
--
-- * Nothing here yet, or emptied: a new log, in a new epoch.
-- * The server is another one, or was started anew: what it has may be behind what it has
--   acknowledged, so the head jumps by more than that can be, and the gap is remembered.
-- * What the caller has seen is above the head, or in a gap: ids are known to be gone. A new epoch.
--
-- ARGV[5]  name of a new epoch;  ARGV[6]  how far to jump
-- Returns  epoch, head
local function named(section, name)
  return string.match(redis.call('INFO', section), name .. ':(%w+)') or ''
end
local server = named('server', 'run_id') .. '/' .. named('replication', 'master_replid')

if not epoch then
  epoch, head = ARGV[5], 0
  -- Where the figures alone are gone, what is kept must not get its numbers again.
  for _, name in ipairs(redis.call('ZRANGE', base .. 'names', 0, -1)) do
    head = math.max(head, tonumber(redis.call('HGET', base .. 'c:' .. name, 'last') or 0))
  end
  redis.call('HSET', meta, 'epoch', epoch, 'head', str(head), 'floor', str(head), 'server', server)
  redis.call('DEL', base .. 'gaps', base .. 'control')
  return {epoch, str(head)}
end

if redis.call('HGET', meta, 'server') ~= server then
  local high = head + tonumber(ARGV[6])
  redis.call('HSET', meta, 'head', str(high), 'server', server)
  redis.call('ZADD', base .. 'gaps', str(head), str(head) .. ' ' .. str(high))
  head = high
end

local seen = tonumber(ARGV[3])
if ARGV[2] == epoch then
  local gap = redis.call('ZREVRANGEBYSCORE', base .. 'gaps', '(' .. str(seen), '-inf', 'LIMIT', 0, 1)
  if seen > head or (gap[1] and seen < tonumber(string.match(gap[1], '%d+$'))) then
    epoch = ARGV[5]
    redis.call('HSET', meta, 'epoch', epoch)
    redis.call('DEL', base .. 'gaps', base .. 'control')
  end
end
return {epoch, str(head)}
