'use strict'
// A Lambda authorizer around aws-jwt-verify: event to policy. The verifier is made when the function
// starts, and its key set is filled from the file that the function brings, as its documentation
// has it.
const fs = require('node:fs')
const { JwtVerifier } = require('aws-jwt-verify')

const { ISSUER, AUDIENCE, KEY_SET_FILE } = process.env
const verifier = JwtVerifier.create({ issuer: ISSUER, audience: AUDIENCE, jwksUri: `${ISSUER}/keys` })
verifier.cacheJwks(JSON.parse(fs.readFileSync(KEY_SET_FILE, 'utf8')))

function readClaims(event) {
  try {
    return verifier.verifySync(event.authorizationToken.replace(/^Bearer /, ''))
  } catch {
    // The word that API Gateway turns into a 401.
    throw new Error('Unauthorized')
  }
}

exports.handler = async event => {
  const { sub } = readClaims(event)
  return {
    principalId: sub,
    policyDocument: {
      Version: '2012-10-17',
      Statement: [{ Action: 'execute-api:Invoke', Effect: 'Allow', Resource: event.methodArn }]
    }
  }
}
