-- Drops some of what a worker's lease that is over leaves behind.
-- Returns  epoch, head, 1 if there is more
local CONNECTIONS, CHANNELS = 50, 400
local lease = redis.call('ZRANGEBYSCORE', base .. 'ends', '-inf', exact(now), 'LIMIT', 0, 1)[1]
if not lease then return {epoch, str(head), 0} end
local said = redis.call('HMGET', base .. 'w:' .. lease, 'name', 'record')
records = said[2] == '1'
local held = redis.call('SRANDMEMBER', base .. 'held:' .. lease, CONNECTIONS)
local done = drop(lease, held)
tell()
local waits
if done == #held and #held < CONNECTIONS then
  waits = redis.call('SRANDMEMBER', base .. 'waits:' .. lease, CHANNELS)
  for _, name in ipairs(waits) do count(lease, name, '0') end
end
if waits and #waits < CHANNELS then
  redis.call('ZREM', base .. 'ends', lease)
  redis.call('DEL', base .. 'w:' .. lease, base .. 'held:' .. lease)
  if redis.call('HGET', base .. 'workers', said[1] or '') == lease then
    redis.call('HDEL', base .. 'workers', said[1])
  end
end
return {epoch, str(head), 1}
