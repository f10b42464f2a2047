-- Gives a permit of a budget, as `pace::Terms::take` does. KEYS: until when its calls are
-- taken. ARGV, in microseconds: time between two calls; how far ahead of time this one may
-- be taken; the longest wait; how far ahead of time anyone may have taken one.
-- Answers {wait, the time here}. A wait that is too long is no permit, and changes nothing.
local interval, ahead = tonumber(ARGV[1]), tonumber(ARGV[2])
local longest, furthest = tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- A clock that was set back, or rubbish, must not close the budget for long.
local taken = tonumber(redis.call('GET', KEYS[1]) or '') or now
taken = math.min(math.max(now, taken), now + furthest)

local wait = math.max(0, taken - now - ahead)
if wait <= longest then
    taken = taken + interval
    -- A bucket that is full again needs no key. Lua's own text of so large a number is rounded.
    redis.call('SET', KEYS[1], string.format('%.0f', taken),
        'PX', math.ceil((taken - now) / 1000))
end
return { wait, now }
