#!lua
-- Claims a proof, by the server's clock, and for a second at least: an end in the
-- past would leave no trace of it. KEYS: proof, count of the subject.
-- ARGV: until (ms), value, how many a subject may have.
local t = redis.call('TIME')
local left = math.max(tonumber(ARGV[1]) - (t[1] * 1000 + math.floor(t[2] / 1000)), 1000)
local before = redis.call('SET', KEYS[1], ARGV[2], 'NX', 'GET', 'PX', string.format('%.0f', left))
if before then
  return {before}
end
local n = redis.call('INCR', KEYS[2])
if n == 1 then
  redis.call('PEXPIRE', KEYS[2], string.format('%.0f', left))
elseif n > tonumber(ARGV[3]) then
  redis.call('DEL', KEYS[1])
  return {'full'}
end
return {''}
