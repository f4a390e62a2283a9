// Manages a relay (NIP-86) as an application does, with Welshman, and prints as JSON the
// methods that this library knows and the answers to calls, made one after the other:
// node welshman_management.mjs SECRET SIGNED_URL '[["http://...", "method", ["param"]]]'
import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto // Node 18
const { finalizeEvent } = await import('nostr-tools/pure')
const { ManagementMethod, makeHttpAuth, sendManagementRequest } = await import('@welshman/util')

const [secret, url, calls] = process.argv.slice(2)
const key = Uint8Array.from(Buffer.from(secret, 'hex'))
const answers = []

for (const [place, method, params = []] of JSON.parse(calls)) {
  // Two calls of the same second that say the same would be signed as one.
  const request = { method, params, number: answers.length }
  const template = await makeHttpAuth(url, 'POST', JSON.stringify(request))
  answers.push(await sendManagementRequest(place, request, finalizeEvent(template, key)))
}
console.log(JSON.stringify({ methods: Object.values(ManagementMethod), answers }))
process.exit(0)
