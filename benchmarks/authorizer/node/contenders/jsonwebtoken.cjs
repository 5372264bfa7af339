'use strict'
// jsonwebtoken with a key that was made ready before.
const crypto = require('node:crypto')
const jwt = require('jsonwebtoken')

require('../worker.cjs')(({ readJson }) => {
  const { issuer, audience, key_id: keyId } = readJson('settings.json')
  const jwk = readJson('key_set.json').keys.find(({ kid }) => kid === keyId)
  const key = crypto.createPublicKey({ key: jwk, format: 'jwk' })
  return { decide: token => jwt.verify(token, key, { algorithms: ['RS256'], issuer, audience }) }
})
