//! `sluice.wasm`: everything is in `sluice-host`; this crate makes a module of it.
//!
//! Each feature of `sluice-pipeline` is a section of the document (`auth` is two, `authn` and `authz`). Which callbacks a module exports is decided after the
//! build (`tools/trim`): each costs on every request.

// Its exported functions are the module's.
extern crate sluice_host as _;
