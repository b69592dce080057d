-- ARGV[5..10]   how the channels about it begin or are called, and what is kept of them: see tell
-- ARGV[11..13]  a worker, seconds that its lease lasts, 1 if all is recorded
-- ARGV[14]      the name of a lease that is new; who sends this again sends the same
-- ARGV[15]      how many come: id, entry, ...; then the ids that go
-- Returns       epoch, head, 1 if the worker was known
local worker, ends = ARGV[11], exact(now + tonumber(ARGV[12]))
local lease = redis.call('HGET', base .. 'workers', worker)
if lease then
  local over = redis.call('ZSCORE', base .. 'ends', lease)
  -- What it held is let go by and by, of that lease and not of the next.
  if not over or tonumber(over) <= now then lease = false end
end
local known = lease and lease ~= ARGV[14]
if not lease then
  lease = ARGV[14]
  redis.call('HSET', base .. 'workers', worker, lease)
end
redis.call('ZADD', base .. 'ends', ends, lease)
redis.call('HSET', base .. 'w:' .. lease, 'name', worker, 'record', ARGV[13])
records = ARGV[13] == '1'

local last = 15 + 2 * tonumber(ARGV[15])
local n = redis.call('HINCRBY', meta, 'brought', ARGV[15])
for i = 16, last, 2 do bring(lease, ARGV[i], n - (last - 1 - i) / 2, ARGV[i + 1]) end
for i = last + 1, #ARGV do drop(lease, ARGV[i]) end
tell({ARGV[5], ARGV[6], ARGV[7]}, {ARGV[8], ARGV[9], ARGV[10]})
return {epoch, str(head), known and 1 or 0}
