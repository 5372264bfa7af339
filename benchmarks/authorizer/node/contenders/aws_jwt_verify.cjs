'use strict'
// aws-jwt-verify's `verifySync`, its key set filled beforehand as its documentation has it.
const { JwtVerifier } = require('aws-jwt-verify')

require('../worker.cjs')(({ readJson }) => {
  const { issuer, audience } = readJson('settings.json')
  const verifier = JwtVerifier.create({ issuer, audience, jwksUri: `${issuer}/keys` })
  verifier.cacheJwks(readJson('key_set.json'))
  return { decide: token => verifier.verifySync(token) }
})
