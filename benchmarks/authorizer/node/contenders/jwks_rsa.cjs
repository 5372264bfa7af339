'use strict'
const build = require('./jwks_rsa_either.cjs')

require('../worker.cjs')(({ readJson }) => ({ isAsync: true, decide: build(readJson) }))
