#!lua
-- Finds an answer, or decides who asks. KEYS: answer.
-- ARGV: how old it may be, how long the asker has (both ms), '1' to take no answer.
-- The hash has: a answer, t when it was asked for (µs), h who asks (µs), e until when (ms).
local c = redis.call('TIME')
local now = c[1] * 1000000 + c[2]
local ms = math.floor(now / 1000)
local has = redis.call('HMGET', KEYS[1], 't', 'a', 'h', 'e')
if has[1] and has[2] and ARGV[3] ~= '1' and now - tonumber(has[1]) <= tonumber(ARGV[1]) * 1000 then
  return {'answer', string.format('%.0f', now), has[2]}
end
local left = tonumber(has[4] or '0') - ms
if has[3] and left > 0 and left <= 60000 then
  return {'wait', string.format('%.0f', left)}
end
local asked = string.format('%.0f', now)
redis.call('HSET', KEYS[1], 'h', asked, 'e', string.format('%.0f', ms + tonumber(ARGV[2])))
local keep = tonumber(ARGV[2]) + 1000
if redis.call('PTTL', KEYS[1]) < keep then
  redis.call('PEXPIRE', KEYS[1], keep)
end
return {'ask', asked}
