//! `sluice.wasm`: everything is in `sluice-host`; this crate makes a module of it.
//!
//! Each feature is a section of the document (`auth` is two, `authn` and `authz`), or a callback: `log`. What the module exports after
//! the build, and what each callback costs, is in `EXPORTS.md`.

// Its exported functions are the module's.
extern crate sluice_host as _;
