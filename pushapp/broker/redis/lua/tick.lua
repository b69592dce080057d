-- Removes what is too old, a bounded part of it; tells where the log is, and marks that on the way
-- of the wake-ups: who hears the mark has heard every wake-up before it.
-- ARGV[5]  the name to mark it under, '' for none
-- Returns  epoch, head, seconds until the next scheduled message or '', 1 if a worker's lease is over,
--          1 if there is more to remove
local CHANNELS, PIECE, PIECES, FORGET, CONTROL = 50, 20, 5, 86400, 60
local more = 0
-- First: a server that takes no writes can still be followed.
if ARGV[5] ~= '' then
  redis.call('PUBLISH', ARGV[4] .. ARGV[5], epoch .. '.' .. str(head))
end

-- Messages older than the channel keeps: what stays is always a suffix, wherever the clock has been
-- set in between. Returns when to look again, nil where nothing is kept.
local function sweep(name, ttl)
  local stream = base .. 's:' .. name
  for _ = 1, PIECES do
    local entries = redis.call('XRANGE', stream, '-', '+', 'COUNT', PIECE)
    local young
    for i, entry in ipairs(entries) do
      if tonumber(entry[2][6]) > now - ttl then
        young = entry
        break
      end
    end
    if young then
      redis.call('XTRIM', stream, 'MINID', young[1])
      return tonumber(young[2][6]) + ttl
    end
    if #entries < PIECE then
      redis.call('DEL', stream)
      return nil
    end
    redis.call('XTRIM', stream, 'MINID', str(tonumber(string.sub(entries[PIECE][1], 1, -3)) + 1))
  end
  more = 1
  return now
end

local names = redis.call('ZRANGEBYSCORE', base .. 'look', '-inf', exact(now), 'LIMIT', 0, CHANNELS)
if #names == CHANNELS then more = 1 end
for _, name in ipairs(names) do
  local key = base .. 'c:' .. name
  local known = redis.call('HMGET', key, 'last', 'time', 'ttl')
  local look = sweep(name, tonumber(known[3]))
  if not look then
    look = tonumber(known[2]) + FORGET
    if look <= now then
      if redis.call('EXISTS', base .. 'r:' .. name) == 1 then
        look = now + FORGET
      else
        -- The one place where a channel's last id is dropped: the floor remembers it.
        floor = math.max(floor, tonumber(known[1]))
        redis.call('HSET', meta, 'floor', str(floor))
        redis.call('DEL', key)
        redis.call('ZREM', base .. names_of(name), name)
        redis.call('ZREM', base .. 'look', name)
        look = nil
      end
    end
  end
  if look then redis.call('ZADD', base .. 'look', exact(look), name) end
end

for _, holder in ipairs(redis.call('ZRANGEBYSCORE', base .. 'holders', '-inf', exact(now),
    'LIMIT', 0, CHANNELS)) do
  release(holder)
end

for _, order in ipairs(redis.call('XRANGE', base .. 'control', '-', '+', 'COUNT', PIECE)) do
  if tonumber(order[2][2]) > now - CONTROL then break end
  redis.call('XDEL', base .. 'control', order[1])
end

local due = redis.call('ZRANGE', base .. 'due', 0, 0, 'WITHSCORES')
local over = #redis.call('ZRANGEBYSCORE', base .. 'ends', '-inf', exact(now), 'LIMIT', 0, 1)
return {epoch, str(head), due[2] and exact(tonumber(due[2]) - now) or '', over, more}
