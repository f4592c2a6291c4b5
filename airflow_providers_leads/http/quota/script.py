"""What happens to a shared window in one step, as a script that Redis runs: none sees it half done.

Time is the server's own, so that the workers' clocks don't matter. A place counts as if its request arrived as late as
is allowed for, until the worker says, with its next request, when it did.

Who gets a place: the process that had the fewest in this window is served first, and of two the one that has waited
longer. As long as others are about, a process that has had its share already gets more only bit by bit, at a pace at
which those whose requests take longer still find places when they come; all of the limit is used all the same.
"""

from __future__ import annotations

from typing import Final

KEYS: Final = ("places", "served", "waiting", "state")
"""Parts of a window: times by place, places by process, who waits (since when, until when), and the rest."""

TAKE: Final = """
local places, served, waiting, state = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local who, limit, window = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local slack, count, block, patience = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000

local function text(number) return string.format('%.6f', number) end
local function kept(field) return tonumber(redis.call('HGET', state, field) or '0') end
local function less(member)
  local owner = string.match(member, '^[^:]+')
  if redis.call('HINCRBY', served, owner, -1) <= 0 then redis.call('HDEL', served, owner) end
end
local function add(moment)
  local member = who .. ':' .. redis.call('HINCRBY', state, 'number', 1)
  redis.call('ZADD', places, text(moment), member)
  redis.call('HINCRBY', served, who, 1)
  return member
end

-- The longest window that anyone counts over.
local horizon = math.max(window, kept('horizon'))
local newest = redis.call('ZREVRANGE', places, 0, 0, 'WITHSCORES')
if newest[2] and tonumber(newest[2]) > now + horizon then
  -- The server's clock went back.
  redis.call('DEL', places, served, waiting, state)
end
redis.call('HSET', state, 'horizon', text(horizon))

-- What the caller knows by now: (place, seconds since its request arrived), without seconds: it was not used; without
-- a place: a request that left while the store was away.
for at = 8, #ARGV, 2 do
  local member, age = ARGV[at], ARGV[at + 1]
  if member == '' then
    add(now - tonumber(age))
  elseif age ~= '' then
    redis.call('ZADD', places, 'XX', text(now - tonumber(age)), member)
  elseif redis.call('ZREM', places, member) == 1 then
    less(member)
  end
end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', places, '-inf', text(now - horizon))) do
  redis.call('ZREM', places, member)
  less(member)
end

local blocked = kept('blocked')
if block > 0 and now + block > blocked then
  blocked = now + block
  redis.call('HSET', state, 'blocked', text(blocked))
end

local since = '(' .. text(now - window)
local spent = redis.call('ZCOUNT', places, since, '+inf')
local by = {}
local list = redis.call('HGETALL', served)
for at = 1, #list, 2 do by[list[at]] = tonumber(list[at + 1]) end
local processes = #list / 2
local mine = by[who] or 0
if mine == 0 then processes = processes + 1 end

-- Who waits: those to be served before the caller, and all others.
local queue = redis.call('HGETALL', waiting)
local joined = now
for at = 1, #queue, 2 do
  if queue[at] == who then joined = tonumber(string.match(queue[at + 1], '^%S+')) end
end
local ahead, behind = 0, 0
for at = 1, #queue, 2 do
  local other = queue[at]
  if other ~= who then
    local from, due = string.match(queue[at + 1], '^(%S+) (%S+)$')
    local theirs = by[other] or 0
    if tonumber(due) + 0.1 + window / 10 < now then
      -- It has not come for its place: gone.
      redis.call('HDEL', waiting, other)
    else
      if theirs == 0 then processes = processes + 1 end
      if theirs < mine or (theirs == mine and tonumber(from) < joined) then
        ahead = ahead + 1
      else
        behind = behind + 1
      end
    end
  end
end

local free = limit - spent
local share = math.max(1, math.floor(limit / processes))
local room = free - ahead - behind
if processes > 1 then room = math.min(room, share - mine) end
local over = processes > 1 and mine >= share
local wait = math.max(0, blocked - now)
if over then wait = math.max(wait, kept('surplus') + 0.9 * window / math.max(1, limit - share) - now) end
if free <= ahead then
  -- The first place is taken by those ahead and so on; where they are more than the window has places, in later ones.
  local number = ahead - free
  local place = number % math.max(1, spent)
  local first = redis.call('ZRANGEBYSCORE', places, since, '+inf', 'WITHSCORES', 'LIMIT', place, 1)
  local round = 1 + math.floor(number / math.max(1, limit))
  wait = math.max(wait, first[2] and tonumber(first[2]) + round * window - now or window / limit)
end

local taken = {}
if count > 0 and wait <= 0 then
  for _ = 1, math.max(1, math.min(count, room)) do taken[#taken + 1] = add(now + slack) end
  if over then redis.call('HSET', state, 'surplus', text(now)) end
end
if count > 0 and wait > 0 and (patience < 0 or wait < patience) then
  redis.call('HSET', waiting, who, text(joined) .. ' ' .. text(now + wait))
elseif count > 0 then
  redis.call('HDEL', waiting, who)
end
local keep = math.ceil(2000 * horizon + 1000 * math.max(0, blocked - now))
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, keep) end
if blocked > now or room < 0 then room = 0 end
return {text(wait), text(math.max(0, blocked - now)), tostring(spent + #taken), tostring(room), unpack(taken)}
"""
"""Takes places if some are free.

Its arguments: the process, the limit, the window in seconds, the seconds that a request may take to arrive, how many
places (0: only look), for how many seconds nothing may leave from now on, after how many seconds a place is of no use
(-1: never), and what the caller knows by now. It returns the seconds to wait, those of them that the vendor asked for,
how many places are taken in all, how many the caller could have had, and the places."""
