'use strict'
// The counterpart of ../python/worker.py, command by command; see there.

const fs = require('node:fs')

const [folder, lineOctets] = [process.argv[2], Number(process.argv[3])]

const readJson = name => JSON.parse(fs.readFileSync(`${folder}/${name}`, 'utf8'))

function readTokens(start, count) {
  const octets = Buffer.alloc(count * lineOctets)
  const file = fs.openSync(`${folder}/tokens`, 'r')
  fs.readSync(file, octets, 0, octets.length, start * lineOctets)
  fs.closeSync(file)
  const tokens = []
  for (let at = 0; at < octets.length; at += lineOctets) {
    tokens.push(octets.toString('latin1', at, at + lineOctets - 1))
  }
  return tokens
}

function* readLines() {
  const chunk = Buffer.alloc(4096)
  let rest = ''
  for (;;) {
    const length = fs.readSync(0, chunk)
    if (length === 0) return
    const lines = (rest + chunk.toString('latin1', 0, length)).split('\n')
    rest = lines.pop()
    yield* lines
  }
}

const cpuNanoseconds = since => {
  const { user, system } = process.cpuUsage(since)
  return (user + system) * 1000
}

async function run({ decide, prepare, isAsync }, tokens, loops) {
  const items = prepare(tokens)
  const cpu = process.cpuUsage()
  const wall = process.hrtime.bigint()
  if (isAsync) {
    for (let loop = 0; loop < loops; loop++) for (const item of items) await decide(item)
  } else {
    for (let loop = 0; loop < loops; loop++) for (const item of items) decide(item)
  }
  return `${process.hrtime.bigint() - wall} ${cpuNanoseconds(cpu)}`
}

async function refuse({ decide, prepare, isGood }, token) {
  const forged = token.slice(0, -50) + (token.at(-50) === 'A' ? 'B' : 'A') + token.slice(-49)
  try {
    return isGood(await decide(prepare([forged])[0])) ? 'accepted' : 'refused'
  } catch {
    return 'refused'
  }
}

async function main(build) {
  const contender = { prepare: tokens => tokens, isGood: () => true, isAsync: false, ...build({ readJson }) }
  const [first] = readTokens(0, 1)
  const [item] = contender.prepare([first])
  const answer = contender.isAsync ? await contender.decide(item) : contender.decide(item)
  fs.writeSync(1, `decided ${cpuNanoseconds()}\n`)
  if (!contender.isGood(answer)) throw new Error('it refuses a good token')
  for (const line of readLines()) {
    const [command, start, count, loops] = line.split(' ')
    const done = command === 'run'
      ? await run(contender, readTokens(Number(start), Number(count)), Number(loops))
      : await refuse(contender, first)
    fs.writeSync(1, `${done}\n`)
  }
}

module.exports = build => main(build)
