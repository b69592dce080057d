-- A stream's entry as {n, prev, event, time, expires, data}.
local function row(entry)
  local f = entry[2]
  return {string.sub(entry[1], 1, -3), f[2], f[4], f[6], f[8], f[10]}
end
