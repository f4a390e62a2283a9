// Subscribes with all kinds of permessage-deflate, publishes, and prints what each
// client got, as JSON: node compressed.mjs ws://127.0.0.1:7447/
import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto // Node 18
const { finalizeEvent, generateSecretKey } = await import('nostr-tools/pure')
const { default: WebSocket } = await import('ws')

const ROUNDS = 60
const options = {
  // As a browser: context take-over wherever the relay allows it.
  takeover: { threshold: 0 },
  noServerTakeover: { threshold: 0, serverNoContextTakeover: true },
  noTakeover: { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true },
  window12: { threshold: 0, serverMaxWindowBits: 12, clientMaxWindowBits: 9 },
  window9: { threshold: 0, serverMaxWindowBits: 9 },
  part: { threshold: 0 }, // sees only some of the events
  plain: false,
}

const secret = generateSecretKey()
const sign = (kind, content) =>
  finalizeEvent({ kind, content, tags: [['t', 'compression']], created_at: Math.floor(Date.now() / 1000) }, secret)

const events = []
for (let round = 0; round < ROUNDS; round++)
  events.push(sign(round % 3 ? 1 : 7, 'три 🚀 '.repeat((round * round) % 200) + round))

const open = perMessageDeflate =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(process.argv[2], { perMessageDeflate })
    socket.on('open', () => resolve(socket))
    socket.on('error', reject)
  })

const wanted = {}
const clients = {}
for (const [name, perMessageDeflate] of Object.entries(options)) {
  const socket = await open(perMessageDeflate)
  const client = { socket, live: [], stored: [], bytes: 0 }
  clients[name] = client
  const filter = { '#t': ['compression'], kinds: name === 'part' ? [7] : [1, 7] }
  wanted[name] = events.filter(event => filter.kinds.includes(event.kind)).map(event => event.id)
  client.liveDone = new Promise(resolve => (client.gotAll = resolve))
  client.storedDone = new Promise(resolve => (client.gotStored = resolve))
  await new Promise(resolve => {
    socket.on('message', data => {
      const message = JSON.parse(data)
      if (message[0] === 'EOSE' && message[1] === name) {
        client.before = socket._socket.bytesRead
        resolve()
      } else if (message[0] === 'EOSE') client.gotStored()
      else if (message[0] === 'EVENT' && message[1] === name) {
        client.live.push(message[2].id)
        client.bytes += data.length
        if (client.live.length === wanted[name].length) {
          client.read = socket._socket.bytesRead - client.before
          client.gotAll()
        }
      } else if (message[0] === 'EVENT') client.stored.push(message[2].id)
    })
    socket.send(JSON.stringify(['REQ', name, filter]))
  })
  client.ask = () => socket.send(JSON.stringify(['REQ', `stored ${name}`, { ...filter, limit: 1000 }]))
}

// Each event is published, compressed, by another connection.
const publishers = [await open({ threshold: 0 }), await open({ threshold: 100000 })]
for (const [number, event] of events.entries()) {
  const publisher = publishers[number % 2]
  await new Promise((resolve, reject) => {
    publisher.once('message', data => {
      const [, id, accepted, reason] = JSON.parse(data)
      accepted && id === event.id ? resolve() : reject(new Error(reason))
    })
    publisher.send(JSON.stringify(['EVENT', event]))
  })
}

const seen = {}
for (const [name, client] of Object.entries(clients)) {
  await client.liveDone
  client.ask()
  await client.storedDone
  seen[name] = {
    extensions: client.socket.extensions,
    live: client.live.join() === wanted[name].join(),
    stored: client.stored.sort().join() === [...wanted[name]].sort().join(),
    events: client.live.length,
    bytes: client.bytes,
    read: client.read,
  }
}
console.log(JSON.stringify(seen))
process.exit(0)
