'use strict'
// Nothing but the interpreter, which every other one needs too.
require('../worker.cjs')(() => ({ decide: token => token.length }))
