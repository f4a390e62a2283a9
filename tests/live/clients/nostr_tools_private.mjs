// Sends private messages (NIP-17) with nostr-tools, and prints what came of it as
// JSON: node nostr_tools_private.mjs ws://127.0.0.1:7447/
import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto // Node 18
const { finalizeEvent, generateSecretKey, getPublicKey } = await import('nostr-tools/pure')
const { Relay, useWebSocketImplementation } = await import('nostr-tools/relay')
const { wrapEvent, unwrapEvent } = await import('nostr-tools/nip17')
const { default: WebSocket } = await import('ws')
useWebSocketImplementation(WebSocket)

const url = process.argv[2]
const [alice, bob, eve] = [1, 2, 3].map(() => generateSecretKey())
const receiver = { publicKey: getPublicKey(bob) }
const filter = { kinds: [1059], '#p': [receiver.publicKey] }
const sign = secret => template => Promise.resolve(finalizeEvent(template, secret))
const read = wrap => {
  const rumor = unwrapEvent(wrap, bob)
  return [rumor.pubkey, rumor.content]
}

// The stored events, or why there are none.
const query = (relay, filters) =>
  new Promise(resolve => {
    const events = []
    const subscription = relay.subscribe(filters, {
      onevent: event => events.push(event),
      oneose: () => {
        resolve(events)
        subscription.close()
      },
      onclose: resolve, // too late after oneose
      eoseTimeout: 20000,
    })
  })

const publish = (relay, event) =>
  relay.publish(event).then(
    () => '',
    error => String(error.message ?? error),
  )

const stranger = await Relay.connect(url)
const seen = { alice: getPublicKey(alice) }

// Anybody may send, nobody else may ask.
const stored = wrapEvent(alice, receiver, 'for you, Bob 🔒')
seen.sent = [await publish(stranger, stored)]
seen.refused = [await query(stranger, [filter])]
seen.others = [(await query(stranger, [{ ids: [stored.id] }])).length]
const eves = await Relay.connect(url)
seen.refused.push(await query(eves, [filter]))
await eves.auth(sign(eve))
seen.refused.push(await query(eves, [filter]))
seen.others.push((await query(eves, [{ ids: [stored.id] }])).length)

// The recipient is challenged, and gets it.
const bobs = await Relay.connect(url)
await query(bobs, [filter])
await bobs.auth(sign(bob))
seen.bob = (await query(bobs, [filter])).map(read)

// Live.
const live = wrapEvent(alice, receiver, 'and again')
let arrived
const arrival = new Promise(resolve => (arrived = resolve))
await new Promise(resolve =>
  bobs.subscribe([filter], {
    onevent: event => event.id === live.id && arrived(event),
    oneose: resolve,
    eoseTimeout: 20000,
  }),
)
seen.sent.push(await publish(stranger, live))
seen.live = read(await arrival)

// A protected event is its author's to publish (NIP-70).
const now = Math.floor(Date.now() / 1000)
const protectedEvent = finalizeEvent(
  { kind: 1, content: 'mine', tags: [['-']], created_at: now },
  alice,
)
const alices = await Relay.connect(url)
seen.protected = []
for (const relay of [alices, eves]) seen.protected.push(await publish(relay, protectedEvent))
await alices.auth(sign(alice))
seen.protected.push(await publish(alices, protectedEvent))

for (const relay of [stranger, eves, bobs, alices]) relay.close()
console.log(JSON.stringify(seen))
process.exit(0)
