-- ARGV[5..7]  the append's key, its fingerprint, seconds that it is remembered
-- ARGV[8...]  nine for each draft: channel, data, event, ttl, retain, messages kept, seconds kept,
--             at ('' for now), the random end of its scheduled id
-- Returns     epoch, head, receipts: {id} or {scheduled id, at}; or 'reused'
local key = base .. 'k:' .. ARGV[5]
local known = redis.call('GET', key)
if known then
  known = cjson.decode(known)
  if tonumber(known[1]) > now then
    if known[2] ~= ARGV[6] then return {epoch, str(head), 'reused'} end
    return {epoch, str(head), known[3]}
  end
end
local drafts, receipts = {}, {}
for i = 8, #ARGV, 9 do
  local at = ARGV[i + 7]
  if at == '' or tonumber(at) <= now then
    drafts[#drafts + 1] = {unpack(ARGV, i, i + 6)}
    receipts[#receipts + 1] = {}
  else
    -- The counter in it makes what is due at one moment come in the order of scheduling.
    local id = string.format('s%012x', redis.call('HINCRBY', meta, 'place', 1)) .. ARGV[i + 8]
    redis.call('ZADD', base .. 'due', at, id)
    redis.call('HSET', base .. 'scheduled', id, cjson.encode({unpack(ARGV, i, i + 6)}))
    receipts[#receipts + 1] = {id, at}
  end
end
local ids, next_id = publish(drafts), 0
for _, receipt in ipairs(receipts) do
  if not receipt[1] then
    next_id = next_id + 1
    receipt[1] = ids[next_id]
  end
end
local ttl = tonumber(ARGV[7])
redis.call('SET', key, cjson.encode({exact(now + ttl), ARGV[6], receipts}), 'PX', str(ttl * 1000))
return {epoch, str(head), receipts}
