// Calls a relay (NIP-86) with authorizations (NIP-98) of nostr-tools, and prints the
// answers as JSON:
// node nostr_tools_management.mjs SECRET SIGNED_URL '[["http://...", "method", ["param"], 1]]'
// Each call names where it is sent, and how often at the same time; one without a method
// sends the last one again.
import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto // Node 18
const { finalizeEvent } = await import('nostr-tools/pure')
const { getToken } = await import('nostr-tools/nip98')

const [secret, url, calls] = process.argv.slice(2)
const key = Uint8Array.from(Buffer.from(secret, 'hex'))
const sign = template => finalizeEvent(template, key)
const answers = []
let request

for (const [number, [place, method, params = [], times = 1]] of JSON.parse(calls).entries()) {
  if (method) {
    const call = { method, params, number }
    const Authorization = await getToken(url, 'POST', sign, true, call)
    request = {
      method: 'POST',
      headers: { Authorization, 'Content-Type': 'application/nostr+json+rpc' },
      body: JSON.stringify(call),
    }
  }
  const responses = await Promise.all(Array.from({ length: times }, () => fetch(place, request)))
  for (const response of responses) answers.push([response.status, await response.json()])
}
console.log(JSON.stringify(answers))
process.exit(0)
