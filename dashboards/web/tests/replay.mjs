// Time in haste: a gate's own events again and again, many times as fast, so that a page sees an hour's number in minutes.
//   node tests/replay.mjs PORT GATE_PORT EVENTS_PER_S [SECONDS_RECORDED]
//   node tests/frames.mjs http://127.0.0.1:PORT DATA_DIR SECONDS
// Everything but the events goes through to the gate (`fake_gate` with LANES=64). The events of the first seconds
// are passed on and kept; then they come again for ever, each time as other vehicles: with ids of their own, and
// gone at the end of the round.
import http from 'node:http'

const [port, gate, rate, seconds = '30'] = process.argv.slice(2).map(Number)
const through = (ask, answer) => {
  const up = http.request({ port: gate, host: '127.0.0.1', path: ask.url, method: ask.method, headers: ask.headers }, (got) => {
    answer.writeHead(got.statusCode, got.headers)
    if (ask.url.startsWith('/v1/events')) replay(got, answer)
    else got.pipe(answer)
  })
  up.on('error', () => answer.destroy())
  answer.on('close', () => up.destroy())
  ask.pipe(up)
}

function replay(got, answer) {
  const kept = []
  const last = new Map()
  let text = ''
  let done = false
  setTimeout(() => (done = true), (seconds || 30) * 1000)
  got.setEncoding('utf8').on('data', (part) => {
    if (done) return
    answer.write(part)
    text += part
    const blocks = text.split('\n\n')
    text = blocks.pop()
    for (const block of blocks) {
      if (!/^event: (lane|decision|alert)$/m.test(block)) continue
      kept.push(block.replace(/^id: .*\n?/m, ''))
      if (!block.includes('event: decision')) continue
      const decision = JSON.parse(block.match(/^data: (.*)$/m)[1])
      last.set(decision.id, decision)
    }
  })
  let round = 0
  let at = 0
  const beat = setInterval(() => {
    if (!done || kept.length === 0) return
    if (at === 0) round += 1
    // A slow page holds the stream up; what waits here is bounded by that.
    if (answer.writableLength > 4_000_000) return
    for (let n = 0; n < rate / 50; n += 1) {
      const other = (block) => block.replace(/D-[A-Za-z0-9.-]+/g, (id) => `${id}.${round}`)
      if (at < kept.length) answer.write(`${other(kept[at++])}\n\n`)
      else {
        for (const decision of last.values()) answer.write(`event: decision\ndata: ${other(JSON.stringify({ ...decision, state: 'passed' }))}\n\n`)
        at = 0
        break
      }
    }
  }, 20)
  answer.on('close', () => clearInterval(beat))
}
http.createServer(through).listen(port, '127.0.0.1')
