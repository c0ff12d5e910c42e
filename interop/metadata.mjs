// A client that knows the address of a service alone, and finds out how to get a
// token for it (RFC 9728), with the npm package "oauth4webapi".
//
//   node metadata.mjs SERVICE
//
// It prints what it found, as JSON.
import * as oauth from 'oauth4webapi'

const service = new URL(process.argv[2])
const insecure = { [oauth.allowInsecureRequests]: true } // the test serves plain HTTP on loopback
const answer = await oauth.resourceDiscoveryRequest(service, insecure)
const metadata = await oauth.processResourceDiscoveryResponse(service, answer)

// And from the challenge of a refused request, as clients of MCP do.
let challenges
try {
  const refused = await oauth.protectedResourceRequest('not-a-token', 'GET', new URL(service.href + '/orders'), undefined, undefined, insecure)
  challenges = { unexpected: refused.status }
} catch (error) {
  if (!(error instanceof oauth.WWWAuthenticateChallengeError)) throw error
  challenges = error.cause
}
process.stdout.write(JSON.stringify({ metadata, challenges }))
