-- publish(drafts): gives ids, appends, keeps retention, wakes. A draft is
-- {channel, data, event, ttl or '', '1' to retain, messages kept, seconds kept}.
local function publish(drafts)
  local channels, ids, wakes = {}, {}, {}
  local time = exact(now)
  for i, draft in ipairs(drafts) do
    local name = draft[1]
    local channel = channels[name]
    if not channel then
      local known = redis.call('HMGET', base .. 'c:' .. name, 'last', 'base')
      channel = {last = tonumber(known[1] or floor), base = tonumber(known[2] or floor)}
      channel.new = not known[1]
      channels[name] = channel
    end
    channel.size, channel.ttl = draft[6], draft[7]
    head = head + 1
    local n = str(head)
    local prev = channel.last > channel.base and str(channel.last) or ''
    local expires = draft[4] ~= '' and exact(now + tonumber(draft[4])) or ''
    redis.call('XADD', base .. 's:' .. name, n .. '-0',
      'p', prev, 'e', draft[3], 't', time, 'x', expires, 'd', draft[2])
    if draft[5] == '1' then
      local value = base .. 'r:' .. name
      if draft[2] == 'null' then
        redis.call('DEL', value)
      else
        redis.call('HSET', value,
          'n', n, 'p', prev, 'e', draft[3], 't', time, 'x', expires, 'd', draft[2])
      end
    end
    channel.last = head
    ids[i] = epoch .. '.' .. n
    if i > 1 and drafts[i - 1][1] == name then
      wakes[#wakes] = {name, ids[i]}
    else
      wakes[#wakes + 1] = {name, ids[i]}
    end
  end
  for name, channel in pairs(channels) do
    redis.call('HSET', base .. 'c:' .. name, 'last', str(channel.last), 'base', str(channel.base),
      'time', time, 'ttl', channel.ttl)
    redis.call('XTRIM', base .. 's:' .. name, 'MAXLEN', channel.size)
    if channel.new then redis.call('ZADD', base .. names_of(name), 0, name) end
    redis.call('ZADD', base .. 'look', 'LT', exact(now + tonumber(channel.ttl)), name)
  end
  redis.call('HSET', meta, 'head', str(head))
  -- In the order of the log, each message's own, so that one who has heard N has heard of all up to N.
  for _, wake in ipairs(wakes) do redis.call('PUBLISH', ARGV[4] .. wake[1], wake[2]) end
  return ids
end
