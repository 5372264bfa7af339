'use strict'
// jsonwebtoken with jwks-rsa: the key by `kid`, cached and rate limited, from a key set on hand.
const jwt = require('jsonwebtoken')
const jwksClient = require('jwks-rsa')

module.exports = readJson => {
  const { issuer, audience } = readJson('settings.json')
  const client = jwksClient({
    cache: true,
    rateLimit: true,
    jwksRequestsPerMinute: 10,
    jwksUri: `${issuer}/keys`,
    getKeysInterceptor: () => readJson('key_set.json').keys
  })
  return async token => {
    const decoded = jwt.decode(token, { complete: true })
    const key = await client.getSigningKey(decoded.header.kid)
    return jwt.verify(token, key.getPublicKey(), { algorithms: ['RS256'], issuer, audience })
  }
}
