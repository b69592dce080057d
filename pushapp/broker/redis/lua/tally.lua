-- bring(lease, id, text), drop(lease, ids), then tell(): a step of the roster; count(lease, name, n)
-- beside it.
-- ARGV[5]       places that connections may take or leave in it
-- ARGV[6..11]   the channels that it is told in: how those of presence begin, and that of events;
--               behind each how many messages are kept, and for how many seconds
-- An entry is, as JSON,
-- {transport, since, channels, 1 if it watches, 1 if it observes, key of its member, its face,
--  what names the connection in events}, with more behind that is read outside only.
local TRANSPORT, CHANNELS, WATCHES, OBSERVES, KEY, FACE, NAMED = 1, 3, 4, 5, 6, 7, 8
local figures, events, records, moved = {}, {}, false, 0

local function figures_of(name)
  local known = figures[name]
  if not known then
    local got = redis.call('HMGET', base .. 'p:' .. name, 'members', 'connections', 'watchers')
    known = {members = tonumber(got[1] or 0), connections = tonumber(got[2] or 0),
      watchers = tonumber(got[3] or 0), changes = {}}
    known.anew = known.watchers == 0
    figures[name] = known
  end
  return known
end

local function event(kind, rest)
  if records then
    events[#events + 1] = string.format('{"event":"%s",%s,"time":%.3f}', kind, rest, now)
  end
end

local function change(known, kind, rest)
  known.changes[#known.changes + 1] = '{"event":"' .. kind .. '"' .. rest .. '}'
end

local function join(name, key, face)
  local known, members = figures_of(name), base .. 'm:' .. name
  local count = string.match(redis.call('HGET', members, key) or '0', '^%d+')
  redis.call('HSET', members, key, str(count + 1) .. ' ' .. face)
  if count ~= '0' then return end
  redis.call('ZADD', base .. 'o:' .. name, 0, key)
  if known.members == 0 then
    change(known, 'occupied', '')
    event('occupied', '"channel":"' .. name .. '"')
  end
  known.members = known.members + 1
  change(known, 'join', ',' .. string.sub(face, 2, -2))
end

local function leave(name, key)
  local known, members = figures_of(name), base .. 'm:' .. name
  local count, face = string.match(redis.call('HGET', members, key), '^(%d+) (.*)$')
  if count ~= '1' then
    redis.call('HSET', members, key, str(count - 1) .. ' ' .. face)
    return
  end
  redis.call('HDEL', members, key)
  redis.call('ZREM', base .. 'o:' .. name, key)
  known.members = known.members - 1
  change(known, 'leave', string.format(',"%s":"%s"', string.match(key, '^(%a+):(.*)$')))
  if known.members == 0 then
    change(known, 'vacated', '')
    event('vacated', '"channel":"' .. name .. '"')
  end
end

-- What several leases say of one connection counts together.
local function union(entries)
  local all = {places = {}, watched = {}, seats = {}}
  for _, entry in ipairs(entries) do
    for _, name in ipairs(entry[CHANNELS]) do
      all.places[name] = true
      if entry[WATCHES] == 1 then all.watched[name] = true end
      if entry[OBSERVES] == 0 then all.seats[name .. ' ' .. entry[KEY]] = true end
    end
  end
  return all
end

local function less(these, those)
  local found = {}
  for name in pairs(these) do
    if not those[name] then found[#found + 1] = name end
  end
  table.sort(found)
  return found
end

-- A connection was as the entries 'before' say, and is as those 'after' do; 'own' is what changed.
local function move(before, after, own)
  local was, is = union(before), union(after)
  local taken, left = less(is.places, was.places), less(was.places, is.places)
  moved = moved + 1 + #taken + #left
  for _, name in ipairs(taken) do
    local known = figures_of(name)
    known.connections = known.connections + 1
    event('subscribe', own[NAMED] .. ',"channel":"' .. name .. '"')
  end
  for _, name in ipairs(less(is.watched, was.watched)) do
    local known = figures_of(name)
    known.watchers = known.watchers + 1
  end
  for _, seat in ipairs(less(is.seats, was.seats)) do
    local name, key = string.match(seat, '^(%S+) (.*)$')
    join(name, key, own[FACE])
  end
  for _, seat in ipairs(less(was.seats, is.seats)) do leave(string.match(seat, '^(%S+) (.*)$')) end
  for _, name in ipairs(less(was.watched, is.watched)) do
    local known = figures_of(name)
    known.watchers = known.watchers - 1
  end
  for _, name in ipairs(left) do
    local known = figures_of(name)
    known.connections = known.connections - 1
  end
end

-- Return what others than the lease say, and what it says itself.
local function said(lease, id)
  local all, others, own = redis.call('HGETALL', base .. 'e:' .. id), {}, nil
  for i = 1, #all, 2 do
    local entry = cjson.decode(string.match(all[i + 1], '^%d+ (.*)$'))
    if all[i] == lease then own = entry else others[#others + 1] = entry end
  end
  return others, own
end

local function with(entries, one)
  local all = {unpack(entries)}
  all[#all + 1] = one
  return all
end

local function users_of(entry)
  local user = string.match(entry[KEY], '^user:(.*)$')
  return user and base .. 'u:' .. user
end

-- The connection is no longer one of a user's, unless somebody says so still.
local function forget(id, own, entries)
  local users = users_of(own)
  for _, entry in ipairs(entries) do
    if users_of(entry) == users then return end
  end
  if users then redis.call('ZREM', users, id) end
end

local function bring(lease, id, n, text)
  local others, own = said(lease, id)
  local entry = cjson.decode(text)
  redis.call('HSET', base .. 'e:' .. id, lease, str(n) .. ' ' .. text)
  if not own then
    redis.call('SADD', base .. 'held:' .. lease, id)
    redis.call('ZADD', base .. 'ids', 0, id)
    if not others[1] then event('connect', entry[NAMED] .. ',"transport":"' .. entry[TRANSPORT] .. '"') end
  end
  local users, after = users_of(entry), with(others, entry)
  if users then redis.call('ZADD', users, 0, id) end
  if own then forget(id, own, after) end
  move(with(others, own), after, entry)
end

local function drop_one(lease, id)
  local others, own = said(lease, id)
  redis.call('SREM', base .. 'held:' .. lease, id)
  if not own then return end
  redis.call('HDEL', base .. 'e:' .. id, lease)
  forget(id, own, others)
  move(with(others, own), others, own)
  if not others[1] then
    redis.call('ZREM', base .. 'ids', id)
    event('disconnect', own[NAMED] .. ',"transport":"' .. own[TRANSPORT] .. '"')
  end
end

-- Return how many of the ids it has seen to.
local function drop(lease, ids)
  local most = tonumber(ARGV[5])
  for i, id in ipairs(ids) do
    if moved >= most then return i - 1 end
    drop_one(lease, id)
  end
  return #ids
end

-- Note how many wait for a channel.
local function count(lease, name, n)
  if n == '0' then
    redis.call('HDEL', base .. 'q:' .. name, lease)
    redis.call('SREM', base .. 'waits:' .. lease, name)
  else
    redis.call('HSET', base .. 'q:' .. name, lease, n)
    redis.call('SADD', base .. 'waits:' .. lease, name)
  end
end

local function tell()
  local drafts, names = {}, {}
  for name in pairs(figures) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local known, key = figures[name], base .. 'p:' .. name
    if known.connections > 0 then
      redis.call('HSET', key, 'members', str(known.members), 'connections', str(known.connections),
        'watchers', str(known.watchers))
    else
      redis.call('DEL', key)
    end
    if known.watchers > 0 and (known.anew or known.changes[1]) then
      local data = '{"count":' .. str(known.members) .. ',"changes":[' ..
        table.concat(known.changes, ',') .. ']' .. (known.anew and ',"anew":true}' or '}')
      drafts[#drafts + 1] = {ARGV[6] .. name, data, 'presence', '', '0', ARGV[7], ARGV[8]}
    end
  end
  if events[1] then
    drafts[#drafts + 1] = {ARGV[9], '[' .. table.concat(events, ',') .. ']', 'events', '', '0',
      ARGV[10], ARGV[11]}
  end
  if drafts[1] then publish(drafts) end
end
