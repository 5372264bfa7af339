'use strict'
// The same with its cache of verified tokens, at the size that is its default.
require('./fast_jwt_either.cjs')(true)
