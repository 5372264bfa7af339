'use strict'
// An authorizer of the usual kind around them: event to policy, for the method that was asked for.
const build = require('./jwks_rsa_either.cjs')

require('../worker.cjs')(({ readJson }) => {
  const verify = build(readJson)
  const { method_arn: methodArn } = readJson('settings.json')
  return {
    isAsync: true,
    prepare: tokens => tokens.map(token => ({ type: 'TOKEN', authorizationToken: `Bearer ${token}`, methodArn })),
    decide: async event => {
      const [, token] = event.authorizationToken.match(/^Bearer (.*)$/)
      const { sub, scope } = await verify(token)
      return {
        principalId: sub,
        policyDocument: {
          Version: '2012-10-17',
          Statement: [{ Action: 'execute-api:Invoke', Effect: 'Allow', Resource: event.methodArn }]
        },
        context: { scope }
      }
    }
  }
})
