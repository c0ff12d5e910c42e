#!lua
-- Appends to the log if its head is still what the caller saw.
-- KEYS: head, log. ARGV: head before ('' for none), head after, 'reset' or the
-- first number that stays, channel, notice, then id, previous, entry of each.
local head = redis.call('GET', KEYS[1]) or ''
if head ~= ARGV[1] then
  return {0}
end
if ARGV[3] == 'reset' then
  redis.call('DEL', KEYS[2])
else
  redis.call('XTRIM', KEYS[2], 'MINID', ARGV[3] .. '-1')
end
for i = 6, #ARGV, 3 do
  redis.call('XADD', KEYS[2], ARGV[i] .. '-1', 'p', ARGV[i + 1], 'e', ARGV[i + 2])
end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[4], ARGV[5])
return {1}
