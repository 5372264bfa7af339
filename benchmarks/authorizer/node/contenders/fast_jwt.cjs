'use strict'
// fast-jwt with one key: its synchronous verifier looks none up by `kid`.
require('./fast_jwt_either.cjs')(false)
