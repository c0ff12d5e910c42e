// A gRPC client that shares no code with what is tested: @grpc/grpc-js, and proofs
// of the npm package "dpop".
//
//   node client.mjs PROTO ADDRESS CONTROL
//
// ADDRESS is a service that asks for nonces. CONTROL issues tokens, bound to a
// thumbprint or not, at POST /token?tenant=&jkt= and revokes one at POST /revoke. It
// prints what came of each call, as one JSON object.
import * as grpc from '@grpc/grpc-js'
import * as loader from '@grpc/proto-loader'
import * as dpop from 'dpop'

const [proto, address, control] = process.argv.slice(2)
const { shop } = grpc.loadPackageDefinition(loader.loadSync(proto, { keepCase: true }))
const client = new shop.v1.Orders(address, grpc.credentials.createInsecure())
const outcomes = {}

const post = async (path) => (await fetch(control + path, { method: 'POST' })).text()

function metadata(...pairs) {
  const md = new grpc.Metadata()
  for (const [name, value] of pairs) md.add(name, value)
  return md
}

function outcome(error, started) {
  if (!error) return { code: 0 }
  const details = Buffer.concat(error.metadata?.get('grpc-status-details-bin') ?? []).toString('latin1')
  return {
    code: error.code,
    details,
    challenge: (error.metadata?.get('www-authenticate') ?? []).join('; '),
    nonce: (error.metadata?.get('dpop-nonce') ?? [''])[0],
    ms: started ? Date.now() - started : 0,
  }
}

const deadline = () => new Date(Date.now() + 20_000)

async function unary(step, method, request, ...pairs) {
  outcomes[step] = await new Promise((resolve) =>
    client[method](request, metadata(...pairs), { deadline: deadline() }, (error) => resolve(outcome(error))))
  return outcomes[step]
}

const acme = { tenant_id: 'acme', item: 'tea' }
const token = await post('/token?tenant=acme')
const bearer = ['authorization', `Bearer ${token}`]
await unary('good', 'Create', acme, bearer)
await unary('no token', 'Create', acme)
await unary('another tenant', 'Create', { tenant_id: 'bank' }, bearer)
await unary('no rule', 'Get', {}, bearer)

const keys = await dpop.generateKeyPair('ES256')
const jkt = await dpop.calculateThumbprint(keys.publicKey)
const boundToken = await post(`/token?tenant=acme&jkt=${jkt}`)
const scheme = ['authorization', `DPoP ${boundToken}`]
const proof = async (method, nonce) =>
  ['dpop', await dpop.generateProof(keys, `http://${address}/shop.v1.Orders/${method}`, 'POST', nonce, boundToken)]
const { nonce } = await unary('no nonce', 'Create', acme, scheme, await proof('Create'))
const used = await proof('Create', nonce)
await unary('with nonce', 'Create', acme, scheme, used)
await unary('replay', 'Create', acme, scheme, used)
await unary('proof for another method', 'Create', acme, scheme, await proof('Get', nonce))
await unary('no proof', 'Create', acme, scheme)
await unary('bound as Bearer', 'Create', acme, ['authorization', `Bearer ${boundToken}`])

// A stream in which nobody says anything more, until its token is revoked.
outcomes['revoked stream'] = await new Promise((resolve) => {
  let started
  const stream = client.Sync(metadata(bearer), { deadline: deadline() })
  stream.on('data', () => { started = Date.now(); post('/revoke?token=' + token) })
  stream.on('error', (error) => resolve(outcome(error, started)))
  stream.on('end', () => {})
  stream.write(acme)
})

process.stdout.write(JSON.stringify(outcomes))
client.close()
