-- ARGV[12..14]  a worker, seconds that its lease lasts, 1 if all is recorded
-- ARGV[15]      the name of a lease that is new; who sends this again sends the same
-- ARGV[16..17]  how many come, of how many channels it is said who waits
-- ARGV[18]...   id, entry, ...; then channel, number, ...; then the ids that go
-- Returns       epoch, head, 1 if the worker was known, how many of those that go have gone
local worker, ends = ARGV[12], exact(now + tonumber(ARGV[13]))
local lease = redis.call('HGET', base .. 'workers', worker)
if lease then
  local over = redis.call('ZSCORE', base .. 'ends', lease)
  -- What it held is let go by and by, of that lease and not of the next.
  if not over or tonumber(over) <= now then lease = false end
end
local known = lease and lease ~= ARGV[15]
if not lease then
  lease = ARGV[15]
  redis.call('HSET', base .. 'workers', worker, lease)
end
redis.call('ZADD', base .. 'ends', ends, lease)
redis.call('HSET', base .. 'w:' .. lease, 'name', worker, 'record', ARGV[14])
records = ARGV[14] == '1'

local last = 17 + 2 * tonumber(ARGV[16])
local n = redis.call('HINCRBY', meta, 'brought', 1)
for i = 18, last, 2 do bring(lease, ARGV[i], n, ARGV[i + 1]) end
local counted = last + 2 * tonumber(ARGV[17])
for i = last + 1, counted, 2 do count(lease, ARGV[i], ARGV[i + 1]) end
local done = drop(lease, {unpack(ARGV, counted + 1)})
tell()
return {epoch, str(head), known and 1 or 0, done}
