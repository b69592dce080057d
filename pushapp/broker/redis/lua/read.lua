-- ARGV[5], ARGV[6]  the cursor, '' for none;  ARGV[7]  upto, '' for none
-- ARGV[8], ARGV[9]  at most so many messages, and bytes of data
-- ARGV[10...]       channels
-- Returns  epoch, head, bound, 1 if the cursor is ours, floor, time of the latest message or '',
--          for each channel: last or '', base or '', n and prev of its first message after the cursor or '',
--          the messages: place of the channel, row; 1 if there are more
local PIECE = 32 -- entries read at once of a stream that goes on; the first time one, since a page
-- of many channels with large messages has room for few
local bound = ARGV[7] ~= '' and math.min(head, tonumber(ARGV[7])) or head
local limit, room = tonumber(ARGV[8]), tonumber(ARGV[9])
local after, ours = tonumber(ARGV[6]), ARGV[5] == epoch
if ours then
  ours = after <= head
  local gap = redis.call('ZREVRANGEBYSCORE', base .. 'gaps', '(' .. str(after), '-inf', 'LIMIT', 0, 1)
  if gap[1] and after < tonumber(string.match(gap[1], '%d+$')) then ours = false end
end
if not ours then after = 0 end

local latest, channels, streams = nil, {}, {}
for i = 10, #ARGV do
  local name = ARGV[i]
  local known = redis.call('HMGET', base .. 'c:' .. name, 'last', 'base', 'time')
  local time = tonumber(known[3] or 0)
  if known[3] and (not latest or time > latest) then latest = time end
  local channel = {known[1] or '', known[2] or '', '', ''}
  channels[#channels + 1] = channel
  if ARGV[5] ~= '' and known[1] and tonumber(known[1]) > after then
    local stream = {key = base .. 's:' .. name, place = #channels, at = 1, piece = 1}
    stream.rows = redis.call('XRANGE', stream.key, str(after + 1), '+', 'COUNT', 1)
    if stream.rows[1] then
      local first = row(stream.rows[1])
      channel[3], channel[4] = first[1], first[2]
      stream.row, stream.n = first, tonumber(first[1])
      streams[#streams + 1] = stream
    end
  end
end

local found, more = {}, 0
while true do
  local least
  for _, stream in ipairs(streams) do
    if stream.n and stream.n <= bound and (not least or stream.n < least.n) then least = stream end
  end
  if not least then break end
  room = room - #least.row[6]
  if #found > 0 and (room < 0 or #found == limit) then
    more = 1
    break
  end
  found[#found + 1] = {least.place, least.row}
  if least.at == #least.rows and least.at == least.piece then
    least.piece = math.min(2 * least.piece, PIECE)
    least.rows = redis.call('XRANGE', least.key, str(least.n + 1), '+', 'COUNT', least.piece)
    least.at = 0
  end
  least.at = least.at + 1
  local entry = least.rows[least.at]
  least.row = entry and row(entry)
  least.n = entry and tonumber(least.row[1])
end
return {epoch, str(head), str(bound), ours and 1 or 0, str(floor), latest and exact(latest) or '',
  channels, found, more}
