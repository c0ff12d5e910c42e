// A client that shares no code with what is tested: @connectrpc/connect-node, and
// proofs of the npm package "dpop".
//
//   node client.mjs DESCRIPTORS SERVICE CONTROL
//
// DESCRIPTORS is a file with a FileDescriptorSet, SERVICE a service that asks for
// nonces. CONTROL issues tokens, bound to a thumbprint or not, at POST
// /token?tenant=&jkt= and revokes one at POST /revoke. It prints what came of each
// call, by protocol, as one JSON object.
import { readFileSync } from 'node:fs'
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { ConnectError, createClient } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport, Http2SessionManager } from '@connectrpc/connect-node'
import * as dpop from 'dpop'

const [descriptors, service, control] = process.argv.slice(2)
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)))
const orders = registry.getService('shop.v1.Orders')
const post = async (path) => (await fetch(control + path, { method: 'POST' })).text()
const all = {}

async function call(send) {
  const started = Date.now()
  try {
    await send()
    return { code: 0 }
  } catch (raw) {
    const error = ConnectError.from(raw)
    return {
      code: error.code,
      message: error.rawMessage,
      details: error.details.map((d) => d.type + ' ' + Buffer.from(d.value ?? []).toString('latin1')).join(' '),
      challenge: error.metadata.get('www-authenticate') ?? '',
      nonce: error.metadata.get('dpop-nonce') ?? '',
      ms: Date.now() - started,
    }
  }
}

async function run(protocol, make) {
  const sessionManager = new Http2SessionManager(service)
  const client = createClient(orders, make({ baseUrl: service, httpVersion: '2', sessionManager, defaultTimeoutMs: 20000 }))
  const outcomes = (all[protocol] = {})
  const acme = { tenantId: 'acme', item: 'tea' }
  const token = await post('/token?tenant=acme')
  const bearer = { headers: { Authorization: `Bearer ${token}` } }
  outcomes['good'] = await call(() => client.create(acme, bearer))
  outcomes['no token'] = await call(() => client.create(acme))
  outcomes['another tenant'] = await call(() => client.create({ tenantId: 'bank' }, bearer))
  outcomes['garbage'] = await call(() => client.create(acme, { headers: { Authorization: 'Bearer a.b.c' } }))

  const keys = await dpop.generateKeyPair('ES256')
  const boundToken = await post(`/token?tenant=acme&jkt=${await dpop.calculateThumbprint(keys.publicKey)}`)
  const proof = (method, nonce) => dpop.generateProof(keys, `${service}/shop.v1.Orders/${method}`, 'POST', nonce, boundToken)
  const bound = (sent) => call(() => client.create(acme, { headers: { Authorization: `DPoP ${boundToken}`, ...(sent && { DPoP: sent }) } }))
  const first = (outcomes['no nonce'] = await bound(await proof('Create')))
  const used = await proof('Create', first.nonce)
  outcomes['with nonce'] = await bound(used)
  outcomes['replay'] = await bound(used)
  outcomes['proof for another method'] = await bound(await proof('Get', first.nonce))
  outcomes['no proof'] = await bound()

  // A stream in which nobody says anything more, until its token is revoked.
  let revoked
  const silent = async function* () {
    yield acme
    await new Promise((resolve) => { silent.end = resolve })
  }
  outcomes['revoked stream'] = await call(async () => {
    for await (const order of client.sync(silent(), bearer)) {
      revoked = Date.now()
      await post('/revoke?token=' + token)
    }
  })
  outcomes['revoked stream'].ms = Date.now() - revoked
  silent.end?.()
  sessionManager.abort()
}

await run('connect', createConnectTransport)
await run('grpc', createGrpcTransport)
await run('grpc-web', createGrpcWebTransport)
process.stdout.write(JSON.stringify(all))
process.exit(0)
