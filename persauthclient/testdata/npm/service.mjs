// A service that takes tokens bound to keys, and checks each proof with three npm
// packages that have nothing to do with the code under test.
//
//   node service.mjs ISSUER JWKS_URI
//
// It prints its address. Under /nonce it asks for a nonce.
import { createHash, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import * as dpop from 'dpop'
import * as jose from 'jose'
import * as oauth from 'oauth4webapi'

const [issuer, jwks_uri] = process.argv.slice(2)
const used = new Set()
const nonce = randomUUID()

async function check(request) {
  // The whole of RFC 9449 §4.3, and the token (RFC 9068).
  const claims = await oauth.validateJwtAccessToken({ issuer, jwks_uri }, request, 'orders', {
    requireDPoP: true,
    [oauth.allowInsecureRequests]: true,
  })

  const proof = request.headers.get('dpop')
  const token = request.headers.get('authorization').split(' ')[1]
  const { payload, protectedHeader } = await jose.jwtVerify(proof, jose.EmbeddedJWK, {
    typ: 'dpop+jwt',
    algorithms: ['ES256', 'EdDSA', 'Ed25519'],
    requiredClaims: ['jti', 'htm', 'htu', 'iat', 'ath'],
    maxTokenAge: '60s',
  })
  const url = new URL(request.url)
  url.search = url.hash = ''
  const want = {
    htm: request.method,
    htu: url.href,
    ath: createHash('sha256').update(token).digest('base64url'),
  }
  for (const [name, value] of Object.entries(want)) {
    if (payload[name] !== value) throw new Error(`jose: ${name} is ${payload[name]}, want ${value}`)
  }
  if ((await jose.calculateJwkThumbprint(protectedHeader.jwk)) !== claims.cnf.jkt) throw new Error('jose: another key')

  const alg = protectedHeader.alg === 'ES256' ? { name: 'ECDSA', namedCurve: 'P-256' } : { name: 'Ed25519' }
  const key = await crypto.subtle.importKey('jwk', protectedHeader.jwk, alg, true, ['verify'])
  if ((await dpop.calculateThumbprint(key)) !== claims.cnf.jkt) throw new Error('dpop: another key')

  if (used.has(payload.jti)) throw new Error('used before')
  used.add(payload.jti)
  return { claims, payload }
}

const server = createServer(async (incoming, answer) => {
  for await (const _ of incoming);
  try {
    const request = new Request(`http://${incoming.headers.host}${incoming.url}`, {
      method: incoming.method,
      headers: incoming.headers,
    })
    const { claims, payload } = await check(request)
    if (incoming.url.startsWith('/nonce') && payload.nonce !== nonce) {
      answer.writeHead(401, { 'WWW-Authenticate': 'DPoP error="use_dpop_nonce"', 'DPoP-Nonce': nonce })
      answer.end()
      return
    }
    answer.end(claims.sub)
  } catch (error) {
    answer.writeHead(401, { 'WWW-Authenticate': 'DPoP error="invalid_dpop_proof"' })
    answer.end(`${error.message} ${error.cause?.message ?? ''}`)
  }
})
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
process.stdin.resume().on('end', () => process.exit(0)) // with the test
