// Uses a relay as a JavaScript application does, with nostr-tools, and prints what
// it saw as JSON: node nostr_tools.mjs ws://127.0.0.1:7447/
import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto // Node 18
const { finalizeEvent, generateSecretKey, getPublicKey } = await import('nostr-tools/pure')
const { Relay, useWebSocketImplementation } = await import('nostr-tools/relay')
const { default: WebSocket } = await import('ws')
useWebSocketImplementation(WebSocket)

const secret = generateSecretKey()
const pubkey = getPublicKey(secret)
const now = Math.floor(Date.now() / 1000)
const sign = (kind, content, tags = [], created_at = now) =>
  finalizeEvent({ kind, content, tags, created_at }, secret)

const query = (relay, filters) =>
  new Promise((resolve, reject) => {
    const events = []
    const subscription = relay.subscribe(filters, {
      onevent: event => events.push(event),
      oneose: () => {
        resolve(events.map(event => event.id))
        subscription.close()
      },
      onclose: reason => reject(new Error(reason)), // too late after oneose
      eoseTimeout: 20000,
    })
  })

const publisher = await Relay.connect(process.argv[2])
const reader = await Relay.connect(process.argv[2])
const seen = {}

// Subscribe live, then publish.
const live = []
let arrived
const allArrived = new Promise(resolve => (arrived = resolve))
await new Promise(resolve =>
  reader.subscribe([{ authors: [pubkey], kinds: [1] }], {
    onevent: event => {
      live.push(event.content)
      if (live.length === 3) arrived()
    },
    oneose: resolve,
    eoseTimeout: 20000,
  }),
)
const notes = ['one', 'два', '三 🚀'].map(text => sign(1, text))
for (const note of notes) await publisher.publish(note)
await allArrived
seen.live = live.sort()

// Query.
seen.stored = await query(reader, [{ ids: notes.map(note => note.id) }])
seen.published = notes.map(note => note.id)

// Replace.
const profiles = [sign(0, '{"name":"old"}', [], now - 10), sign(0, '{"name":"new"}')]
for (const profile of profiles) await publisher.publish(profile)
seen.profiles = await query(reader, [{ kinds: [0], authors: [pubkey] }])
seen.newest = profiles[1].id
try {
  await publisher.publish(profiles[0])
  seen.older = 'accepted'
} catch (error) {
  seen.older = String(error.message ?? error)
}

// Delete.
await publisher.publish(sign(5, '', [['e', notes[0].id]]))
seen.afterDeletion = await query(reader, [{ kinds: [1], authors: [pubkey] }])
try {
  await publisher.publish(notes[0])
  seen.deleted = 'accepted'
} catch (error) {
  seen.deleted = String(error.message ?? error)
}

publisher.close()
reader.close()
console.log(JSON.stringify(seen))
process.exit(0)
