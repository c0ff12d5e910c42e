#!lua
-- Takes calls out of the budget: a generic cell rate algorithm for the whole, and
-- one for the share. KEYS: budget, pause, members.
-- ARGV: purpose, want, per hour, total per hour, '1' to ignore the pause.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local ms = math.floor(now / 1000)
if ARGV[5] ~= '1' then
  local left = redis.call('PTTL', KEYS[2])
  if left > 0 then
    return {0, left * 1000, redis.call('GET', KEYS[2])}
  end
end
-- Those that are cut off from here use their own shares.
local known = redis.call('ZCARD', KEYS[3])
local alive = redis.call('ZCOUNT', KEYS[3], string.format('%.0f', ms - 10000), '+inf')
local part = 1
if known > alive then
  part = math.max(alive, 1) / known
end

local partBefore = tonumber(redis.call('HGET', KEYS[1], 'part') or '1')

local function cell(field, perHour)
  local burst = math.max(math.floor(perHour / 60), 1)
  local interval = 3600000000 / (perHour * part)
  local tolerance = burst * interval
  local at = tonumber(redis.call('HGET', KEYS[1], field) or '0')
  if at < now then
    at = now
  else
    at = now + (at - now) * partBefore / part -- as many calls as before
  end
  if at > now + tolerance + interval then
    at = now + tolerance -- the clock was put back: empty, not closed
  end
  return at, interval, math.floor((now + tolerance - at) / interval + 0.000001), tolerance
end

local at1, interval1, n1, tolerance1 = cell('share:' .. ARGV[1], tonumber(ARGV[3]))
local at2, interval2, n2, tolerance2 = cell('total', tonumber(ARGV[4]))
local n = math.min(tonumber(ARGV[2]), n1, n2)
if n < 1 then
  local wait = math.max(at1 + interval1 - tolerance1, at2 + interval2 - tolerance2) - now
  return {0, math.max(math.ceil(wait), 1), ''}
end
redis.call('HSET', KEYS[1], 'share:' .. ARGV[1], string.format('%.0f', at1 + n * interval1),
  'total', string.format('%.0f', at2 + n * interval2), 'part', tostring(part))
-- For people: what was granted in this hour of the clock.
local hour = string.format('%.0f', math.floor(ms / 3600000))
if redis.call('HGET', KEYS[1], 'hour') ~= hour then
  redis.call('HSET', KEYS[1], 'hour', hour, 'granted', '0')
end
redis.call('HINCRBY', KEYS[1], 'granted', n)
redis.call('PEXPIRE', KEYS[1], 7200000)
return {n, 0, ''}
