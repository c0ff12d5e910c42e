#!lua
-- Keeps all from calling PERS. KEYS: pause. ARGV: how long (ms), value, channel, notice.
local left = redis.call('PTTL', KEYS[1])
if left < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[1])
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return {1}
