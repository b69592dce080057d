-- ARGV[5]  channel;  ARGV[6]  at most so many;  ARGV[7]  before this number, '' for none
-- ARGV[8]  at most so many bytes of data, but one message
-- Returns  epoch, head, last or '', base or '', number kept, retained row or {}, rows newest first
local name, limit, room = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[8])
local PIECE = 32
local known = redis.call('HMGET', base .. 'c:' .. name, 'last', 'base')
local value = redis.call('HMGET', base .. 'r:' .. name, 'n', 'p', 'e', 't', 'x', 'd')
local stream = base .. 's:' .. name
local top = ARGV[7] ~= '' and tonumber(ARGV[7]) - 1 or head
local found = {}
while #found < limit and top >= 0 do
  local entries = redis.call('XREVRANGE', stream, str(top) .. '-0', '-', 'COUNT', PIECE)
  for _, entry in ipairs(entries) do
    local message = row(entry)
    room = room - #message[6]
    if #found == limit or (#found > 0 and room < 0) then
      limit = #found
      break
    end
    found[#found + 1] = message
    top = tonumber(message[1]) - 1
  end
  if #entries < PIECE then break end
end
return {epoch, str(head), known[1] or '', known[2] or '', redis.call('XLEN', stream),
  value[1] and value or {}, found}
