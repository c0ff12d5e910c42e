#!lua
-- Shares an answer; of two the one that was asked for later stays. KEYS: answer.
-- ARGV: when it was asked for (µs), how long it is good (ms), answer ('' for none),
-- channel, notice.
local c = redis.call('TIME')
local now = c[1] * 1000000 + c[2]
local asked = tonumber(ARGV[1])
local left = math.floor((asked - now) / 1000) + tonumber(ARGV[2])
if ARGV[3] ~= '' and left > 0 and asked <= now then
  local before = tonumber(redis.call('HGET', KEYS[1], 't') or '0')
  if before <= asked or before > now then
    redis.call('HSET', KEYS[1], 't', ARGV[1], 'a', ARGV[3])
    redis.call('PEXPIRE', KEYS[1], left)
  end
end
if redis.call('HGET', KEYS[1], 'h') == ARGV[1] then
  redis.call('HDEL', KEYS[1], 'h', 'e')
end
redis.call('PUBLISH', ARGV[4], ARGV[5])
return {1}
