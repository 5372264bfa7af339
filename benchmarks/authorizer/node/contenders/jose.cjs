'use strict'
// jose with a key set on hand.
const { createLocalJWKSet, jwtVerify } = require('jose')

require('../worker.cjs')(({ readJson }) => {
  const { issuer, audience } = readJson('settings.json')
  const keys = createLocalJWKSet(readJson('key_set.json'))
  return { isAsync: true, decide: token => jwtVerify(token, keys, { algorithms: ['RS256'], issuer, audience }) }
})
