'use strict'
const crypto = require('node:crypto')
const { createVerifier } = require('fast-jwt')

module.exports = cache => require('../worker.cjs')(({ readJson }) => {
  const { issuer, audience, key_id: keyId } = readJson('settings.json')
  const jwk = readJson('key_set.json').keys.find(({ kid }) => kid === keyId)
  const key = crypto.createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  return { decide: createVerifier({ key, algorithms: ['RS256'], allowedIss: issuer, allowedAud: audience, cache }) }
})
