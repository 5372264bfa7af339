'use strict'
// The RSA signature check that all Node.js contenders rest on, and nothing else.
const crypto = require('node:crypto')

require('../worker.cjs')(({ readJson }) => {
  const { key_id: keyId } = readJson('settings.json')
  const jwk = readJson('key_set.json').keys.find(({ kid }) => kid === keyId)
  const key = crypto.createPublicKey({ key: jwk, format: 'jwk' })
  return {
    prepare: tokens => tokens.map(token => {
      const dot = token.lastIndexOf('.')
      return [Buffer.from(token.slice(0, dot)), Buffer.from(token.slice(dot + 1), 'base64url')]
    }),
    decide: ([signingInput, signature]) => crypto.verify('RSA-SHA256', signingInput, key, signature),
    isGood: answer => answer
  }
})
