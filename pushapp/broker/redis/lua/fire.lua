-- Publishes what is due, at most a hundred.  Returns  epoch, head, seconds until the next or ''
local ids, drafts = redis.call('ZRANGEBYSCORE', base .. 'due', '-inf', exact(now), 'LIMIT', 0, 100), {}
for i, id in ipairs(ids) do
  drafts[i] = cjson.decode(redis.call('HGET', base .. 'scheduled', id))
end
if ids[1] then
  publish(drafts)
  redis.call('ZREM', base .. 'due', unpack(ids))
  redis.call('HDEL', base .. 'scheduled', unpack(ids))
end
local due = redis.call('ZRANGE', base .. 'due', 0, 0, 'WITHSCORES')
return {epoch, str(head), due[2] and exact(tonumber(due[2]) - now) or ''}
