"""The scripts, which keep one string a conversation: a line that says what it is, then a message a line.

There are two kinds of string. A **recents** string begins ``RUN REV KIND COUNT CHECKED``: the run id of the server that
wrote it, the revision it is labelled with, ``w`` where it holds the whole conversation or ``p`` where only its newest
part, how many messages it holds, and when it was last found to be the database's (the server's clock, milliseconds; 0
for never). A **lease** is the line ``RUN REV l TOKEN``: whoever has the token may
put recents there, labelled with REV or later.

A string of another run id is nothing: the server was restarted, or another one took its place, and what it brought
along may be old. The run id comes with each call, as its last argument: the server told it when the connection was
opened, which ends with that server. Each script changes one key at once, with its time to live, or not at all; where
the server refuses memory, what cannot be kept is removed. All numbers are handed on as text, since Lua would round
large ones when it writes them.
"""

from __future__ import annotations

from typing import Final

from whisper_persistence_drivers.redis_cache.exchange import Script

_BEGIN: Final = """
local key = KEYS[1]
local run = table.remove(ARGV)
local raw = redis.call('GET', key)
local rev, kind, count, checked, token, at
if raw then
  local born
  born, rev, kind = string.match(raw, '^(%x+) (%d+) (%a) ')
  if born ~= run then
    redis.call('DEL', key)
    raw = false
  elseif kind == 'l' then
    token = string.match(raw, ' (%x+)$')
  else
    count, checked, at = string.match(raw, '^%x+ %d+ %a (%d+) (%d+)\\n()')
  end
end
local function set(text, ...)
  local done = redis.pcall('SET', key, text, ...)
  if type(done) == 'table' and done.err then
    redis.call('DEL', key)
    return false
  end
  return true
end
local function put(text, ...) return set(run .. ' ' .. text, ...) end
local function room(bound)
  if bound == '0' then return true end
  return tonumber(string.match(redis.call('INFO', 'memory'), 'used_memory:(%d+)')) <= tonumber(bound)
end
local function skip(text, from, lines)
  for _ = 1, lines do from = string.find(text, '\\n', from, true) + 1 end
  return from
end
"""

#: ARGV: token, life of recents and of a lease (ms), how many of the newest messages are wanted (0: all), how old the
#: last check may be (ms). Answers ``hit`` with revision, kind, how many, how old the last check is (-1 where that is
#: too old), the time and the messages; ``lease`` where it left one; ``miss`` where somebody else has it or nothing can
#: be kept.
READ: Final = Script(
    _BEGIN
    + """
if not raw then
  return {put('0 l ' .. ARGV[1], 'PX', ARGV[3]) and 'lease' or 'miss'}
end
if kind == 'l' then return {'miss'} end
redis.call('PEXPIRE', key, ARGV[2])
local wanted = tonumber(ARGV[4])
if wanted > 0 and tonumber(count) > wanted then
  at = skip(raw, at, tonumber(count) - wanted)
  kind, count = 'p', ARGV[4]
end
local age, now = -1, '0'
if ARGV[5] ~= '0' then
  local time = redis.call('TIME')
  now = time[1] .. string.format('%03d', math.floor(tonumber(time[2]) / 1000))
  age = tonumber(now) - tonumber(checked)
  if age > tonumber(ARGV[5]) then age = -1 end
end
return {'hit', rev, kind, count, age, now, string.sub(raw, at)}
"""
)

#: ARGV: token, revision, kind, how many messages, life (ms), memory bound, messages. Answers ``kept``,
#: ``refused`` where the lease is gone or overtaken, ``full`` where there is no room.
FILL: Final = Script(
    _BEGIN
    + """
if not raw or kind ~= 'l' or token ~= ARGV[1] then return 'refused' end
if tonumber(ARGV[2]) < tonumber(rev) then
  redis.call('DEL', key)
  return 'refused'
end
if not room(ARGV[6]) then
  redis.call('DEL', key)
  return 'full'
end
local line = table.concat({ARGV[2], ARGV[3], ARGV[4], '0'}, ' ')
return put(line .. '\\n' .. ARGV[7], 'PX', ARGV[5]) and 'kept' or 'full'
"""
)

#: ARGV: token. Removes its lease; answers ``absent`` where it is gone already.
RELEASE: Final = Script(
    _BEGIN
    + """
if not raw or kind ~= 'l' or token ~= ARGV[1] then return 'absent' end
redis.call('DEL', key)
return 'released'
"""
)

#: ARGV: life (ms), how many messages and bytes at most, memory bound; then for each message in order its revision and
#: its text, which is empty where it was stored before. Answers ``kept``, ``current`` where all of it is in there,
#: ``absent``, ``leased``, ``gap`` where an earlier change is missing, ``full``; the last two remove it.
APPEND: Final = Script(
    _BEGIN
    + """
if not raw then return 'absent' end
local last = ARGV[#ARGV - 1]
if tonumber(last) <= tonumber(rev) then return 'current' end
if kind == 'l' then
  put(last .. ' l ' .. token, 'KEEPTTL')
  return 'leased'
end
local current, number, lines = tonumber(rev), tonumber(count), {}
for i = 5, #ARGV, 2 do
  local revision = tonumber(ARGV[i])
  if revision > current then
    if revision ~= current + 1 or ARGV[i + 1] == '' then
      redis.call('DEL', key)
      return 'gap'
    end
    current = revision
    lines[#lines + 1] = ARGV[i + 1] .. '\\n'
  end
end
if not room(ARGV[4]) then
  redis.call('DEL', key)
  return 'full'
end
number = number + #lines
local new, first, most, size = table.concat(lines), 1, tonumber(ARGV[2]), tonumber(ARGV[3])
while at <= #raw and (number > most or #raw - at + 1 + #new > size) do
  at, number, kind = skip(raw, at, 1), number - 1, 'p'
end
while number > 0 and (number > most or #new - first + 1 > size) do
  first, number, kind = skip(new, first, 1), number - 1, 'p'
end
local line = table.concat({run, last, kind, string.format('%d', number), checked}, ' ')
local text = line .. '\\n' .. string.sub(raw, at) .. string.sub(new, first)
return set(text, 'PX', ARGV[1]) and 'kept' or 'full'
"""
)

#: ARGV: the revision of a change that recents must have in them, a token or ``-``, life of a lease (ms). Answers
#: ``absent``, ``current`` where it is in there, ``leased`` where somebody is about to fill, who then must have it,
#: ``dropped`` or, with a token, ``lease``.
DROP: Final = Script(
    _BEGIN
    + """
if not raw then return 'absent' end
if kind == 'l' then
  if tonumber(ARGV[1]) > tonumber(rev) then put(ARGV[1] .. ' l ' .. token, 'KEEPTTL') end
  return 'leased'
end
if tonumber(rev) >= tonumber(ARGV[1]) then return 'current' end
redis.call('DEL', key)
if ARGV[2] ~= '-' and put(ARGV[1] .. ' l ' .. ARGV[2], 'PX', ARGV[3]) then return 'lease' end
return 'dropped'
"""
)

#: ARGV: the revision that the database was found to have, and the server's time before it was asked. Answers
#: ``kept``, or ``absent`` where something else is there by now.
CONFIRM: Final = Script(
    _BEGIN
    + """
if not raw or kind == 'l' or rev ~= ARGV[1] or tonumber(checked) >= tonumber(ARGV[2]) then return 'absent' end
local line = table.concat({rev, kind, count, ARGV[2]}, ' ')
return put(line .. '\\n' .. string.sub(raw, at), 'KEEPTTL') and 'kept' or 'absent'
"""
)

#: ARGV: life of new sums (ms), then a name and what to add to its sum, and so on. Answers the sums; nothing where the
#: server refuses memory. It is about no conversation, so what a former life of the server counted may stay.
COUNT: Final = Script(
    """
local key, sums = KEYS[1], {}
for i = 2, #ARGV - 1, 2 do
  local sum = redis.pcall('HINCRBY', key, ARGV[i], ARGV[i + 1])
  if type(sum) == 'table' then return {} end
  sums[#sums + 1] = string.format('%.0f', sum)
end
if redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, ARGV[1]) end
return sums
"""
)
