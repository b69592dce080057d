-- The first thing on every new connection: makes sure that nothing here is given out twice.
--
-- * Nothing here yet, or emptied: a new log, in a new epoch.
-- * The server is another one, or was started anew: what it has may be behind what it has
--   acknowledged, so the head jumps by more than that can be, and the gap is remembered. The jump may
--   be forgotten as well, by the next crash. So it goes above a million ids for each second that the
--   clock shows: the next one goes higher.
-- * What the caller has seen is above the head, or in a gap, or in an epoch that this log has never
--   heard of: ids are known to be gone. A new epoch.
--
-- * Its keys are of another format than the caller's: nothing is written.
--
-- ARGV[5]  name of a new epoch;  ARGV[6]  how far to jump;  ARGV[7]  the caller's format
-- Returns  epoch, head
local format = redis.call('HGET', meta, 'format') or '1' -- the first one did not say
if redis.call('EXISTS', meta) == 1 and format ~= ARGV[7] then
  return redis.error_reply('the log has format ' .. format .. '; this version reads ' .. ARGV[7])
end
local function named(section, name)
  return string.match(redis.call('INFO', section), name .. ':(%w+)') or ''
end
-- A script that has written something is not refused for memory any more: a full server has to be
-- adopted, or nobody could make room.
-- And where anything may be gone, some of what workers have brought may be: none is known any more,
-- so that each brings all of it again. Until its old lease is over nobody seems to leave.
local function make_sure() redis.call('DEL', base .. 'adopting', base .. 'workers') end
-- Who may append and not wake the others would leave half of an append behind.
redis.call('PUBLISH', ARGV[4] .. '!adopted', '')

local server = named('server', 'run_id') .. '/' .. named('replication', 'master_replid')

if not epoch then
  epoch, head = ARGV[5], 0
  -- Where the figures alone are gone, what is kept must not get its numbers again.
  for _, names in ipairs({'names', 'inner'}) do
    for _, name in ipairs(redis.call('ZRANGE', base .. names, 0, -1)) do
      head = math.max(head, tonumber(redis.call('HGET', base .. 'c:' .. name, 'last') or 0))
    end
  end
  make_sure()
  redis.call('HSET', meta, 'epoch', epoch, 'head', str(head), 'floor', str(head), 'server', server,
    'format', ARGV[7])
  redis.call('DEL', base .. 'gaps', base .. 'control')
  if ARGV[2] ~= '' then redis.call('SADD', base .. 'ended', ARGV[2]) end
  return {epoch, str(head)}
end

if redis.call('HGET', meta, 'server') ~= server then
  make_sure()
  local high = math.max(head, math.floor(now * 1000000)) + tonumber(ARGV[6])
  redis.call('HSET', meta, 'head', str(high), 'server', server)
  redis.call('ZADD', base .. 'gaps', str(head), str(head) .. ' ' .. str(high))
  head = high
end

local seen, lost = tonumber(ARGV[3]), false
if ARGV[2] == epoch then
  local gap = redis.call('ZREVRANGEBYSCORE', base .. 'gaps', '(' .. str(seen), '-inf', 'LIMIT', 0, 1)
  lost = seen > head or (gap[1] and seen < tonumber(string.match(gap[1], '%d+$')))
elseif ARGV[2] ~= '' then
  lost = redis.call('SISMEMBER', base .. 'ended', ARGV[2]) == 0
end
if lost then
  make_sure()
  redis.call('SADD', base .. 'ended', epoch, ARGV[2])
  epoch = ARGV[5]
  redis.call('HSET', meta, 'epoch', epoch)
  redis.call('DEL', base .. 'gaps', base .. 'control')
end
return {epoch, str(head)}
