// A service in Node, tested with the fixtures of persauth and npm's jose:
//
//   persauth fixtures fixtures && node fixtures.mjs fixtures
//
// It prints what the service says of each token, as one JSON object.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createLocalJWKSet, jwtVerify } from 'jose'

const folder = process.argv[2]
const keys = createLocalJWKSet(JSON.parse(await readFile(join(folder, 'jwks.json'), 'utf8')))

// tenantOf is the service's own check.
async function tenantOf(token) {
  const { payload } = await jwtVerify(token, keys, { algorithms: ['RS256', 'ES256', 'EdDSA'], requiredClaims: ['exp', 'tenantId'] })
  return payload.tenantId
}

const said = {}
for (const line of (await readFile(join(folder, 'tokens.ndjson'), 'utf8')).trim().split('\n')) {
  const { name, token } = JSON.parse(line)
  said[name] = await tenantOf(token).then(() => 'valid', (e) => e.code ?? String(e))
}
console.log(JSON.stringify(said))
