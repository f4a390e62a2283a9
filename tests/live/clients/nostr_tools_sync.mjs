// Reconciles with a relay by nostr-tools (NIP-77), and prints what either side lacks
// as JSON: node nostr_tools_sync.mjs EVENTS ws://127.0.0.1:7447/
// EVENTS is a file of events, one a line, that the client holds.
import { readFileSync } from 'node:fs'
import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto // Node 18
const { Relay, useWebSocketImplementation } = await import('nostr-tools/relay')
// It is in the package, but not among what the package exports.
const { NegentropyStorageVector, NegentropySync } = await import(
  './node_modules/nostr-tools/lib/esm/nip77.js'
)
const { default: WebSocket } = await import('ws')
useWebSocketImplementation(WebSocket)

const storage = new NegentropyStorageVector()
for (const line of readFileSync(process.argv[2], 'utf8').split('\n')) {
  if (!line) continue
  const event = JSON.parse(line)
  storage.insert(event.created_at, event.id)
}
storage.seal()

const relay = await Relay.connect(process.argv[3])
const have = new Set()
const need = new Set()
const reason = await new Promise(resolve => {
  const sync = new NegentropySync(relay, storage, {}, {
    onhave: id => have.add(id),
    onneed: id => need.add(id),
    onclose: resolve,
  })
  sync.start()
})
relay.close()
console.log(JSON.stringify({ have: have.size, need: need.size, reason: reason ?? null }))
process.exit(0)
