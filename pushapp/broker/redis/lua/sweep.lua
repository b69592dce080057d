-- Drops some of what a worker's lease that is over leaves behind.
-- ARGV[5..10]  as of sync
-- Returns      epoch, head, 1 if there is more
local CONNECTIONS = 50
local lease = redis.call('ZRANGEBYSCORE', base .. 'ends', '-inf', exact(now), 'LIMIT', 0, 1)[1]
if not lease then return {epoch, str(head), 0} end
local said = redis.call('HMGET', base .. 'w:' .. lease, 'name', 'record')
records = said[2] == '1'
local held = redis.call('SRANDMEMBER', base .. 'held:' .. lease, CONNECTIONS)
for _, id in ipairs(held) do drop(lease, id) end
tell({ARGV[5], ARGV[6], ARGV[7]}, {ARGV[8], ARGV[9], ARGV[10]})
if #held < CONNECTIONS then
  redis.call('ZREM', base .. 'ends', lease)
  redis.call('DEL', base .. 'w:' .. lease, base .. 'held:' .. lease)
  if redis.call('HGET', base .. 'workers', said[1] or '') == lease then
    redis.call('HDEL', base .. 'workers', said[1])
  end
end
return {epoch, str(head), 1}
