// A client of a service that takes tokens bound to keys. The proofs are made by
// the npm package "dpop", which has nothing to do with the code under test.
//
//   node client.mjs ALG SERVICE NONCES
//
// ALG is an algorithm of that package. SERVICE and NONCES are two services, the
// second of which asks for nonces and may be left out. Both issue a token for a thumbprint at
// POST /token. It prints what came of each request, as one JSON object.
import * as dpop from 'dpop'

const [alg, service, nonces] = process.argv.slice(2)
const keys = await dpop.generateKeyPair(alg)
const others = await dpop.generateKeyPair(alg)
const outcomes = {}

async function tokenFrom(base) {
  const jkt = await dpop.calculateThumbprint(keys.publicKey)
  const answer = await fetch(`${base}/token?jkt=${jkt}`, { method: 'POST' })
  return answer.text()
}

// htu is the address without query and fragment.
function htu(url) {
  const u = new URL(url)
  u.search = u.hash = ''
  return u.href
}

async function send(step, url, token, proof, { method = 'GET', scheme = 'DPoP' } = {}) {
  const headers = { Authorization: `${scheme} ${token}` }
  if (proof) headers.DPoP = proof
  const answer = await fetch(url, { method, headers })
  await answer.arrayBuffer()
  const outcome = {
    status: answer.status,
    error: /error="([^"]*)"/.exec(answer.headers.get('WWW-Authenticate') ?? '')?.[1] ?? '',
    nonce: answer.headers.get('DPoP-Nonce') ?? '',
  }
  outcomes[step] = outcome
  return outcome
}

const token = await tokenFrom(service)
const orders = `${service}/orders`
const proof = (url, method = 'GET', nonce, ath = token, pair = keys) =>
  dpop.generateProof(pair, htu(url), method, nonce, ath)

const first = await proof(orders)
await send('get', orders, token, first)
await send('replay', orders, token, first)
await send('query', `${orders}?page=2#3`, token, await proof(`${orders}?page=2#3`))
await send('post', orders, token, await proof(orders, 'POST'), { method: 'POST' })
for (const [step, path] of Object.entries({
  'odd path': '/orders/café%2f1~x/./a/../b;c=d',
  'path with a bar': '/orders/a|b/',
})) {
  const url = new URL(path, service).href
  await send(step, url, token, await proof(url))
}
await send('upper case', orders, token, await proof(orders.replace('http', 'HTTP')))
const many = await Promise.all(
  Array.from({ length: 20 }, async (_, i) => send(`many ${i}`, orders, token, await proof(orders))),
)
outcomes.many = { status: Math.max(...many.map((o) => o.status)), error: '', nonce: '' }
many.forEach((_, i) => delete outcomes[`many ${i}`])

await send('other method', orders, token, await proof(orders, 'POST'))
await send('other address', orders, token, await proof(`${service}/admin`))
await send('other host', orders, token, await proof('https://evil.example/orders'))
await send('no token hash', orders, token, await dpop.generateProof(keys, orders, 'GET'))
await send('other token', orders, token, await proof(orders, 'GET', undefined, `${token}x`))
await send('other key', orders, token, await proof(orders, 'GET', undefined, token, others))
await send('no proof', orders, token)
await send('as Bearer', orders, token, await proof(orders), { scheme: 'Bearer' })

if (nonces) {
  const nonceToken = await tokenFrom(nonces)
  const nonceProof = (nonce) => dpop.generateProof(keys, `${nonces}/orders`, 'GET', nonce, nonceToken)
  const asked = await send('without nonce', `${nonces}/orders`, nonceToken, await nonceProof())
  await send('with nonce', `${nonces}/orders`, nonceToken, await nonceProof(asked.nonce))
  await send('with nonce again', `${nonces}/orders`, nonceToken, await nonceProof(asked.nonce))
  await send('with another nonce', `${nonces}/orders`, nonceToken, await nonceProof('made-up'))
}

console.log(JSON.stringify(outcomes))
