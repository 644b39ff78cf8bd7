import { createHash } from 'node:crypto';

export interface Script {
  readonly lua: string;
  readonly sha: string;
}

const script = (lua: string): Script => ({ lua, sha: createHash('sha1').update(lua).digest('hex') });

/*
 * What a script does nobody else sees half of. It is not rolled back where a command of it fails, so everything that could fail is looked at
 * before the first write: the fence, the place in the stream, the kind of each sorted set. Memory that is full refuses the first write or none.
 *
 * The answer is a word and what belongs to it: OK · FENCED <who holds it> · LOST · GONE · MOVED <where it is> · KIND <key>
 */
const library = `
local function unfit(blob)
  for _, command in ipairs(blob) do
    if command[1] == 'ZADD' or command[1] == 'ZREM' then
      local kind = redis.call('TYPE', command[2])['ok']
      if kind ~= 'zset' and kind ~= 'none' then return command[2] end
    end
  end
end

-- What was moved already when a log is worked off again is not there any more.
local function work(blob)
  for _, command in ipairs(blob) do
    if command[1] ~= 'RENAME' or redis.call('EXISTS', command[2]) == 1 then redis.call(unpack(command)) end
  end
end
`;

/**
 * Takes a place over: KEYS its state; ARGV what is fenced, the epoch, when the run was made, and a name for the two of them. Attempts at one
 * thing are ordered by their epochs, attempts at different ones (runs of a pipeline) by when these were made. Answers OK and the state.
 */
export const takeOver = script(`
local held = redis.call('HMGET', KEYS[1], 'fence', 'epoch', 'at')
if held[1] == ARGV[1] and tonumber(held[2]) > tonumber(ARGV[2]) then return {'FENCED', held[2]} end
if held[1] and held[1] ~= ARGV[1] and held[3] > ARGV[3] then return {'FENCED', held[1]} end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'epoch', ARGV[2], 'at', ARGV[3], 'holder', ARGV[4])
redis.call('HINCRBY', KEYS[1], 'turn', 1)
return {'OK', redis.call('HGETALL', KEYS[1])}
`);

/** Commands in one act: KEYS the state, or the fence of a slot; ARGV who holds it, where in the stream it must be or nothing, and commands. */
export const act = script(`${library}
local held = redis.call('HMGET', KEYS[1], 'holder', 'position')
if not held[1] then return {'LOST'} end
if held[1] ~= ARGV[1] then return {'FENCED', held[1]} end
if ARGV[2] ~= '' and held[2] ~= ARGV[2] then return {'MOVED', held[2] or ''} end
local blobs = {}
for place = 3, #ARGV do
  blobs[place - 2] = cmsgpack.unpack(ARGV[place])
  local key = unfit(blobs[place - 2])
  if key then return {'KIND', key} end
end
for _, blob in ipairs(blobs) do work(blob) end
return {'OK'}
`);

/** Works off the first entry of a log: KEYS the state and the log; ARGV who holds it. Answers what is left of the log. */
export const workOff = script(`${library}
local holder = redis.call('HGET', KEYS[1], 'holder')
if not holder then return {'LOST'} end
if holder ~= ARGV[1] then return {'FENCED', holder} end
local blob = redis.call('LINDEX', KEYS[2], 0)
if not blob then return {'OK', 0} end
work(cmsgpack.unpack(blob))
redis.call('LPOP', KEYS[2])
return {'OK', redis.call('LLEN', KEYS[2])}
`);

/**
 * Fences a slot of a cluster off: KEYS its fence; ARGV how often the state has been taken over, which takeover the slot must remember, and by whom
 * it is held. One that does not remember is left as it is, and answers GONE.
 */
export const takeSlot = script(`
local held = redis.call('HMGET', KEYS[1], 'holder', 'turn')
if tonumber(held[2] or '0') > tonumber(ARGV[1]) then return {'FENCED', held[1]} end
if tonumber(held[2] or '0') < tonumber(ARGV[2]) then return {'GONE'} end
redis.call('HSET', KEYS[1], 'turn', ARGV[1], 'holder', ARGV[3])
return {'OK'}
`);
